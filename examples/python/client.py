"""A sealbus client in Python, written from docs/PROTOCOL.md alone; see README.md.

client.py DIR echo COUNT          answers COUNT messages, then ends
client.py DIR send TO TYPE JSON   sends one message, ends when the broker has confirmed it
"""
import json
import os
import sys
import time
from urllib.parse import urlsplit

import pika
from cryptography.hazmat.primitives.serialization import Encoding
from pika.exceptions import AMQPError, UnroutableError

import cbor
from folder import Folder, Seen
from sealing import Receiver, Session
from trust import AHEAD_S, Card, Refused, cert_hash, need

SESSION_S = 3600
ATTACH_EVERY_S = 300
HOLD_S = 360  # how long what may open later is held
TTL_S = 86_400
HANDLED, EXPIRED = 0, 2  # outcomes of a receipt


def declare_inbox(folder, channel):
    """Where config.json says that a party makes its own: docs/DELIVERY.md, Topology."""
    if folder.config["inbox"] != {"kind": "quorum", "declare": True}:
        return
    quorum = {"x-queue-type": "quorum", "x-quorum-initial-group-size": 3}
    exchange = folder.config["exchange"]
    inbox = ("inbox", exchange, {**quorum, "x-single-active-consumer": True})
    for name, source, arguments in (inbox, ("parked", f"{exchange}.parked", quorum)):
        channel.queue_declare(f"{name}.{folder.address}", durable=True, arguments=arguments)
        channel.queue_bind(f"{name}.{folder.address}", source, f"{folder.address}.*")


class Link:
    """A channel to the first broker that answers."""

    def __init__(self, folder):
        self.folder, self.channel, self.turn = folder, None, 0

    def open(self):
        while self.channel is None or not self.channel.is_open:
            url = urlsplit(self.folder.config["brokers"][self.turn % len(self.folder.config["brokers"])])
            try:
                self.channel = pika.BlockingConnection(self.parameters(url)).channel()
                self.channel.confirm_delivery()
                self.channel.basic_qos(prefetch_count=64)
                declare_inbox(self.folder, self.channel)
            except (AMQPError, OSError) as error:
                print(f"{url.netloc}: {error!r}", file=sys.stderr)
                self.turn += 1
                time.sleep(0.5)
        return self.channel

    def parameters(self, url):
        return pika.ConnectionParameters(
            url.hostname,
            url.port or 5671,
            self.folder.config["vhost"],
            pika.credentials.ExternalCredentials(),
            ssl_options=pika.SSLOptions(self.folder.tls(), url.hostname),
            heartbeat=10,
            socket_timeout=5,
            stack_timeout=10,
            blocked_connection_timeout=30,
        )

    def keep_alive(self):
        """Answers the broker while nothing is published. One that is lost is opened again when it is needed."""
        try:
            if self.channel:
                self.channel.connection.process_data_events(0)
        except AMQPError:
            self.channel = None

    def publish(self, exchange, routing_key, body, message_id=None):
        """Resolves with the confirm. A nack or a lost connection means unknown: the same bytes again."""
        properties = pika.BasicProperties(message_id=message_id, delivery_mode=2)
        while True:
            try:
                return self.open().basic_publish(exchange, routing_key, body, properties, mandatory=True)
            except UnroutableError:
                raise SystemExit(f"{routing_key}: nobody has an inbox there") from None
            except AMQPError as error:
                print(f"published again after {error!r}", file=sys.stderr)
                time.sleep(0.5)


class OutLane:
    """Numbers of what goes to one recipient. One message at a time: floor and open are its own number."""

    def __init__(self):
        self.epoch, self.seq, self.attached_s = os.urandom(8), 0, -ATTACH_EVERY_S


class Delivered:
    def __init__(self, method, body):
        self.tag, self.routing_key, self.body = method.delivery_tag, method.routing_key, body
        self.since_s, self.envelope = time.monotonic(), None


class Client:
    def __init__(self, folder):
        self.folder, self.config = folder, folder.config
        self.outgoing, self.incoming = Link(folder), Link(folder)
        self.lanes, self.sessions, self.cards, self.next = {}, {}, {}, {}
        own = Card(folder.card, folder.trust, time.time())
        self.receiver = Receiver(folder.address, folder.trust, folder.sealing_keys, own.limit_s, folder.revocation_list())
        for card in folder.peers():
            self.learn_card(card)

    def learn_card(self, data):
        """The card with the highest counter counts, among those that hold. One that is refused does no harm."""
        try:
            card = Card(data, self.folder.trust, time.time())
        except Refused as refusal:
            return print(f"a card was refused: {refusal}", file=sys.stderr)
        self.receiver.learn(card.chain)
        held = self.cards.get((card.domain, card.address))
        if held is None or (self.holds(card), card.counter) > (self.holds(held), held.counter):
            self.cards[card.domain, card.address] = card

    def holds(self, card):
        """Whether its time is not over, nor its certificate revoked."""
        now_s = time.time()
        try:
            path = self.folder.trust.check_issuers(card.chain, now_s)
            if self.receiver.revocation:
                self.receiver.revocation.check(path, card.address, now_s)
        except Refused as refusal:
            return str(refusal) == "stale-revocation" and now_s < card.not_after
        return now_s < card.not_after

    def send(self, to, message_type, payload, in_reply_to=None, lane_name="report"):
        """Seals one message to (domain, address), and returns when the broker has it."""
        session, limit_s = self.session(to)
        lane, fingerprint = self.lanes.setdefault((to, lane_name), OutLane()), cert_hash(self.folder.chain[0])
        head = [fingerprint[:8], lane.epoch, lane.seq, 0, 0, int(time.time() * 1000), min(limit_s, TTL_S)]
        attach = time.monotonic() >= lane.attached_s + ATTACH_EVERY_S
        if attach:
            chain = [certificate.public_bytes(Encoding.DER) for certificate in self.folder.chain]
            head.append({1: chain, 3: self.folder.card})
        message = {1: message_type, 2: payload, **({8: list(in_reply_to)} if in_reply_to else {})}
        body, envelope_id = session.seal(self.folder.identity_key, fingerprint, cbor.encode(head) + cbor.encode(message))
        self.outgoing.publish(self.config["exchange"], f"{to[1]}.{self.folder.address}", body, envelope_id.hex())
        lane.seq += 1
        if attach:
            lane.attached_s = time.monotonic()

    def session(self, to):
        """The session with a recipient, and the longest lifetime of a message to it."""
        card, now_s = self.cards.get(to), time.time()
        if card is None:
            raise SystemExit(f"{to[1]}: no card")
        path = self.folder.trust.check_issuers(card.chain, now_s)
        need(now_s <= card.not_after and card.public_key, "the card of the recipient has expired")
        if self.receiver.revocation:
            self.receiver.revocation.check(path, card.address, now_s)
        held = self.sessions.get(to)
        if held is None or held.public_key != card.public_key or time.monotonic() - held.made_s > SESSION_S:
            self.sessions[to] = held = Session(*to, card.public_key)
        return held, card.limit_s

    def consume(self, handle):
        """Gives handle(message, sender) each message once, until it returns True."""
        self.handle, self.seen, self.done = handle, Seen(self.folder), False
        while not self.done:
            waiting = []  # held unacknowledged: the broker delivers these again on another connection
            try:
                for method, _, body in self.incoming.open().consume(f"inbox.{self.folder.address}", inactivity_timeout=1):
                    if method:
                        waiting.append(Delivered(method, body))
                    waiting = [item for item in waiting if not self.attempt(item)]
                    self.outgoing.keep_alive()
                    if self.done:
                        return self.incoming.channel.connection.close()
            except AMQPError as error:
                print(f"consuming again after {error!r}", file=sys.stderr)

    def attempt(self, item):
        """Opens, handles and acknowledges; False when the envelope has to wait, unacknowledged."""
        try:
            envelope = item.envelope = item.envelope or self.receiver.open(item.body, time.time() * 1000)
        except Refused as refusal:
            return self.set_aside(item, refusal.args[0])
        if envelope.card:
            self.learn_card(envelope.card)
        lane = (*envelope.sender[:2], envelope.epoch)
        self.next[lane] = max(self.next.get(lane, envelope.open), envelope.floor)
        if envelope.messages and envelope.seq > self.next[lane]:
            return False
        for message in envelope.messages:
            self.judge(message, envelope)
        if envelope.messages:  # a floor notice has none
            self.next[lane] = max(self.next[lane], envelope.seq + len(envelope.messages))
        self.incoming.channel.basic_ack(item.tag)
        return True

    def set_aside(self, item, reason):
        if reason == "stale-revocation":
            self.receiver.revocation = self.folder.revocation_list()  # perhaps there is a newer one
            return False
        if reason in ("unknown-certificate", "clock-ahead") and time.monotonic() < item.since_s + HOLD_S:
            return False
        print(f"parked: {reason}", file=sys.stderr)
        sender = item.routing_key.rpartition(".")[2]
        self.outgoing.publish(f"{self.config['exchange']}.parked", f"{self.folder.address}.{sender}", item.body)
        self.incoming.channel.basic_ack(item.tag)
        return True

    def judge(self, message, envelope):
        """Seen before → expired → handled; remembered before it is acknowledged."""
        domain, address, role, _ = envelope.sender
        place, outcome = f"{domain} {address} {message.epoch.hex()} {message.seq}", HANDLED
        if not self.seen.has(place):
            if time.time() * 1000 > message.expires_ms:
                outcome = EXPIRED
            elif message.type == "sealbus/card":
                self.learn_card(message.payload)
            elif not message.type.startswith("sealbus/"):
                self.done = self.handle(message, (domain, address, role)) or self.done
            self.seen.add(place, message.created_ms / 1000 + self.receiver.limit_s + AHEAD_S)
        if message.receipt_wanted and not message.type.startswith("sealbus/"):
            receipt = [[message.epoch, message.seq, envelope.content_hash, outcome, int(time.time() * 1000)]]
            self.send((domain, address), "sealbus/receipt", cbor.encode(receipt), lane_name="receipt")


def echo(client, count):
    """Answers get_X with X, anything else with its own type; the payload goes back as it came."""
    answered = 0

    def handle(message, sender):
        nonlocal answered
        print(f"{message.type} from {sender[1]}, a {sender[2]}: {message.payload.decode(errors='replace')}", flush=True)
        client.send(sender[:2], message.type.removeprefix("get_"), message.payload, (message.epoch, message.seq))
        answered += 1
        return answered >= count

    client.consume(handle)


def main(directory, command, *rest):
    client = Client(Folder(directory))
    if command == "echo":
        echo(client, int(rest[0]))
    elif command == "send":
        to, message_type, payload = rest
        client.send((client.folder.trust.domain, to), message_type, json.dumps(json.loads(payload)).encode())
    else:
        raise SystemExit(__doc__)


if __name__ == "__main__":
    main(*sys.argv[1:]) if len(sys.argv) > 3 else sys.exit(__doc__)
