"""A whole client in one file, to be read beside docs/PROTOCOL.md: the headings here are its sections.

minimal.py DIR COUNT    answers COUNT messages to the party whose identity folder DIR is, then ends

When the connection is lost it ends, and what it has not acknowledged comes again. What it has answered it remembers in memory
only: another process answers that again. client.py has the rest: memory on disk, order, receipts, reconnecting, parking (here
a body that does not open stays unacknowledged), declaring one's own inbox. Needs python3-cryptography, -cbor2 and -pika.
"""
import datetime, hashlib, hmac, io, json, os, re, ssl, sys, tempfile, time
from pathlib import Path
from urllib.parse import urlsplit
import cbor2, cbor2.decoder, pika
from cryptography import x509
from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric import ec, utils, x25519
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, SignatureAlgorithmOID

AHEAD_S, MAX_TTL_S, MAX_TIME_MS, MAX_INT = 120, 604_800, 8_640_000_000_000_000, 2**53 - 1
UNTRUSTED, ECDSA = "untrusted-certificate", ec.ECDSA(SHA256())
CLIENT, SERVER, ANY = (getattr(ExtendedKeyUsageOID, name) for name in ("CLIENT_AUTH", "SERVER_AUTH", "ANY_EXTENDED_KEY_USAGE"))
KNOWN = (x509.BasicConstraints, x509.KeyUsage, x509.ExtendedKeyUsage, x509.SubjectKeyIdentifier, x509.AuthorityKeyIdentifier)

class Refused(Exception):
    """Its text is the reason, in the words of "Order of opening"."""

def need(condition, reason="malformed"):
    if not condition:
        raise Refused(reason)

# --- Notation ---
def sha256(data): return hashlib.sha256(data).digest()
def lp(data): return bytes([len(data)]) + data
def party(name): return lp(name[0].encode()) + lp(name[1].encode())
def raw(key): return key.public_bytes(Encoding.Raw, PublicFormat.Raw)
def seconds(time): return time.replace(tzinfo=datetime.timezone.utc).timestamp()

# --- CBOR: what cbor2 reads has to be plain, and the same bytes when written again ---
del cbor2.decoder.major_decoders[6]  # no tags: some of them make a short input large

class Stream(io.BytesIO):
    """Ends after so many reads: nobody has vouched for a head yet."""
    left = MAX_INT
    def read(self, size):
        self.left -= 1
        return super().read(size if self.left >= 0 else 0)

def decode(stream):
    start = stream.tell()
    try:
        value = cbor2.decoder.CBORDecoder(stream).decode()
    except Exception:  # whatever it is that cbor2 cannot read
        raise Refused("malformed") from None
    need(is_plain(value) and stream.getvalue()[start : stream.tell()] == cbor2.dumps(value))
    return value

def is_plain(value, depth=1):
    """Only what the protocol has, at most 4 deep, keys in their order."""
    if type(value) is dict:
        keys = list(map(cbor2.dumps, value))
        plain = keys == sorted(keys) and all(type(key) is str or integer(-MAX_INT)(key) for key in value)
        return plain and depth + bool(keys) <= 4 and all(is_plain(item, depth + 1) for item in value.values())
    if type(value) is list:
        return depth <= 4 and all(is_plain(item, depth + 1) for item in value)
    return depth <= 4 and (type(value) in (bytes, str, bool) or integer(-MAX_INT)(value))

# --- Content, Card, Revocation list: their tables. Keys that are not in one are refused up to 63, ignored from 64 on ---
def integer(least=0, most=MAX_INT): return lambda v: type(v) is int and least <= v <= most
def blob(size=None): return lambda v: type(v) is bytes and size in (None, len(v))
def text(pattern=".*"): return lambda v: type(v) is str and re.fullmatch(pattern, v, re.DOTALL)
def row(*kinds): return lambda v: type(v) is list and len(v) == len(kinds) and all(k(x) for k, x in zip(kinds, v))
def rows(kind, most=MAX_INT, least=0): return lambda v: type(v) is list and least <= len(v) <= most and all(map(kind, v))
def table(required, kinds):
    check = lambda key, x: kinds[key](x) if key in kinds else integer(64)(key)
    return lambda v: type(v) is dict and {*required} <= v.keys() and all(check(*pair) for pair in v.items())

def items(v): return 1 + sum(map(items, [*v, *v.values()] if type(v) is dict else v if type(v) is list else ()))
def few_ignored(fields):  # of a head or a message
    ignored = [value for key, value in fields.items() if key > 63]
    return sum(map(items, ignored)) <= 256 and sum(len(cbor2.dumps(value)) for value in ignored) <= 1024

TTL, SECONDS, PLACE = integer(1, MAX_TTL_S), integer(0, 2**40), row(blob(8), integer())
CHAIN = lambda v: rows(blob(), 3, 1)(v) and sum(map(len, v)) <= 4096
HEAD = row(blob(8), blob(8), integer(), integer(), integer(), integer(0, MAX_TIME_MS), TTL)
EXTRAS = table((), {1: CHAIN, 2: PLACE, 3: blob(), 4: blob()})
HEADERS = lambda v: type(v) is dict and len(v) <= 64 and all(type(k) is str and type(v[k]) in (str, bytes, int, bool) for k in v)
MESSAGE = table((1, 2), {1: text("[A-Za-z0-9._/-]{1,64}"), 2: blob(), 3: integer(), 4: TTL, 5: text(),
    6: lambda v: type(v) in (str, bytes), 7: text(), 8: PLACE, 9: integer(0, 3), 10: HEADERS})
SIGNED, SERIAL = row(blob(), blob(64), CHAIN), lambda v: type(v) is bytes and 1 <= len(v) <= 20 and v[0] > 0
PK = lambda v: row(integer(1, 255), blob())(v) and (v[0] != 1 or len(v[1]) == 32)
CARD = table(range(1, 10), {1: text(), 2: text(), 3: integer(), 4: SECONDS, 5: SECONDS, 6: rows(PK, 8, 1), 7: TTL, 8: blob(32),
    9: integer(0, 2)})
REVOKED = table(range(1, 7), {1: text(), 2: integer(), 3: SECONDS, 4: integer(1, 366 * 86_400),
    5: rows(row(blob(32), SERIAL)), 6: rows(row(text(), SECONDS))})

# --- Envelope: HPKE (RFC 9180), mode Base, export only, and what is derived from its secret ---
def key_id(pk): return sha256(lp(b"sealbus-v1 key-id") + b"\x01" + pk)[:8]

def session_secret(dh, enc, pk, recipient):
    extract = lambda suite, salt, label, ikm: hmac.digest(salt, b"HPKE-v1" + suite + label + ikm, "sha256")
    expand = lambda suite, prk, text: HKDFExpand(SHA256(), 32, b"\x00\x20HPKE-v1" + suite + text).derive(prk)
    kem, hpke = b"KEM\x00\x20", b"HPKE\x00\x20\x00\x01\xff\xff"
    info = lp(b"sealbus-v1 session") + b"\x01\x01" + party(recipient)
    shared = expand(kem, extract(kem, b"", b"eae_prk", dh), b"shared_secret" + enc + pk)
    context = b"\x00" + extract(hpke, b"", b"psk_id_hash", b"") + extract(hpke, b"", b"info_hash", info)
    exporter = expand(hpke, extract(hpke, shared, b"secret", b""), b"exp" + context)
    return expand(hpke, exporter, b"sec" + b"sealbus-v1 envelope")

def cipher_of(secret, envelope_id):
    okm = HKDFExpand(SHA256(), 44, lp(b"sealbus-v1 key") + envelope_id).derive(secret)
    return ChaCha20Poly1305(okm[:32]), okm[32:]

def signed_bytes(header, recipient, pk, leaf, content):
    return lp(b"sealbus-v1 envelope-signature") + header + party(recipient) + sha256(pk) + cert_hash(leaf) + sha256(content)

# --- Trust ---
def cert_hash(certificate): return sha256(certificate.tbs_certificate_bytes)
def spki_hash(one): return sha256(one.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
def serial_of(one): return one.serial_number.to_bytes((one.serial_number.bit_length() + 7) // 8, "big")
def der(rs): return utils.encode_dss_signature(int.from_bytes(rs[:32], "big"), int.from_bytes(rs[32:], "big"))
def verifies(one, signature, data):  # by ECDSA P-256 with SHA-256, and no other
    try:
        return one.public_key().curve.name == "secp256r1" and one.public_key().verify(signature, data, ECDSA) is None
    except (InvalidSignature, AttributeError):  # AttributeError: of no curve
        return False

def usages(one):
    found = {type(extension.value): extension.value for extension in one.extensions}
    return [found.get(kind) for kind in KNOWN[:3]]

def is_valid(one, issuer, depth, now):
    """Trust 1 to 4 of one certificate of a path; depth 0 is the leaf, the root has no issuer."""
    basic, usage, purposes = usages(one)
    is_ca = basic and basic.ca and (basic.path_length is None or basic.path_length >= depth - 1)
    may_issue = is_ca and usage and usage.key_cert_sign and (purposes is None or CLIENT in purposes or ANY in purposes)
    by_issuer = not issuer or one.issuer == issuer.subject and verifies(issuer, one.signature, one.tbs_certificate_bytes)
    return (by_issuer and (depth == 0 or may_issue) and one.not_valid_before <= now <= one.not_valid_after
        and one.signature_algorithm_oid == SignatureAlgorithmOID.ECDSA_WITH_SHA256
        and all(isinstance(extension.value, KNOWN) for extension in one.extensions if extension.critical))

class Party:
    """Who we are, whom we trust, what we know of others."""
    def __init__(self, address, trust, roots, signers, keys):
        self.name, self.suites, self.issuers = (trust["domain"], address), trust["suites"], trust["issuers"]
        self.roots, self.signers, self.keys = roots, signers, {key_id(raw(key.public_key())): key for key in keys}
        self.limit_s, self.revoked, self.chains, self.cards, self.lanes = MAX_TTL_S, None, {}, {}, {}

    def path(self, chain, now_s):
        """The certificates of a chain in DER, and their root, where Trust 1 to 4 hold."""
        now = datetime.datetime.utcfromtimestamp(now_s)
        try:
            paths = [[*map(x509.load_der_x509_certificate, chain), root] for root in self.roots]
            links = lambda path: zip(path, [*path[1:], None], range(4))
            return next((path for path in paths if all(is_valid(*link, now) for link in links(path))), None)
        except Exception:  # whatever it is that cannot be read
            return None

    def identify(self, chain, now_s):
        """((domain, address, role), path) of a chain that is accepted now, else None."""
        path = self.path(chain, now_s)
        basic, usage, purposes = usages(path[0]) if path else (None, None, None)
        signs = usage and usage.digital_signature and not usage.key_cert_sign and not (basic and basic.ca)  # Trust 5
        if not (signs and purposes and CLIENT in purposes and SERVER not in purposes and ANY not in purposes):
            return None
        names = [path[0].subject.get_attributes_for_oid(oid) for oid in (NameOID.COMMON_NAME, NameOID.ORGANIZATIONAL_UNIT_NAME)]
        address, role = (name[0].value if len(name) == 1 else "" for name in names)
        if text("[A-Za-z0-9_-]{1,64}")(address) and text("[A-Za-z0-9._-]{1,64}")(role):
            for entry in self.issuers:  # Trust 6
                allowed = {role, "*"} & {*entry["roles"]} and address.startswith(tuple(entry["prefixes"]))
                if allowed and entry["spkiSha256"] == spki_hash(path[1]).hex():
                    return (entry["domain"], address, role), path

    def signed(self, data, most, label, kind, now_s):  # body, chain and path of a card or a revocation list
        need(len(data) <= most and SIGNED(outer := decode(io.BytesIO(data))) and kind(body := decode(io.BytesIO(outer[0]))))
        need(cbor2.dumps(outer) == data and cbor2.dumps(body) == outer[0])  # nothing after them
        need(path := self.path(outer[2], now_s), UNTRUSTED)
        need(verifies(path[0], der(outer[1]), lp(label) + outer[0]), "bad-signature")
        return body, tuple(outer[2]), path

    # --- Card ---
    def learn_card(self, data, now_s):
        try:
            body, chain, (leaf, *_) = self.signed(data, 8192, b"sealbus-v1 card", CARD, now_s)
            need((found := self.identify(chain, now_s)) and [*found[0][:2], cert_hash(leaf)] == [body[1], body[2], body[8]], UNTRUSTED)
            need(body[4] < body[5] <= seconds(leaf.not_valid_after) and max(body[3] / 1000, body[4]) <= now_s + AHEAD_S)
            need(now_s < body[5] and body[3] / 1000 <= body[5] + AHEAD_S)  # one that is over is of no use here
            self.check_revoked(*found, now_s)
            self.chains.setdefault(body[8][:8], set()).add(chain)
            held = self.cards.get(found[0][:2], (body, chain))
            self.cards[found[0][:2]] = max(held, (body, chain), key=lambda card: (now_s < card[0][5], card[0][3]))
        except Refused as refusal:  # does no harm
            print(f"a card was refused: {refusal}", file=sys.stderr)

    # --- Revocation list ---
    def learn_revoked(self, data, now_s):
        body, _, path = self.signed(data, 1 << 20, b"sealbus-v1 revocation-list", REVOKED, now_s)
        usage = usages(path[0])[1]
        need(spki_hash(path[0]).hex() in self.signers and usage and (usage.digital_signature or usage.crl_sign), UNTRUSTED)
        need(body[1] == self.name[0] and body[3] <= now_s + AHEAD_S)
        self.revoked = body

    def check_revoked(self, sender, path, now_s):
        if self.revoked:
            pairs = [[spki_hash(issuer), serial_of(one)] for one, issuer in zip(path, path[1:])]
            before_s = max((before_s for name, before_s in self.revoked[6] if name == sender[1]), default=0)
            need(seconds(path[0].not_valid_before) >= before_s and not any(pair in self.revoked[5] for pair in pairs), "revoked")
            need(now_s <= self.revoked[3] + self.revoked[4], "stale-revocation")

    # --- Order of opening ---
    def open(self, body, now_ms):
        """(sender, head, messages) of an envelope."""
        need(1 < len(body) <= 1 << 20 and body[0] == 1, "not-an-envelope")  # 1
        need(body[1] == 1 and 1 in self.suites, "unknown-suite")  # 2
        need(len(body) > 58 + 80, "not-an-envelope")  # 3
        header, enc, key = body[:58], body[10:42], self.keys.get(body[2:10])
        need(key, "unknown-key")  # 4
        pk = raw(key.public_key())
        try:  # 5, 6
            dh = key.exchange(x25519.X25519PublicKey.from_public_bytes(enc))
            cipher, nonce = cipher_of(session_secret(dh, enc, pk, self.name), body[42:58])
            plain = cipher.decrypt(nonce, body[58:], header)
        except (ValueError, InvalidTag):  # ValueError: all zero
            raise Refused("bad-tag") from None
        signature, content = plain[:64], plain[64:]
        stream, messages = Stream(content), []
        stream.left = 3 * (22 + 2 * 256)  # three reads an item: all that have a meaning, and what is ignored with its keys
        head, stream.left = decode(stream), MAX_INT  # 7
        need(type(head) is list and HEAD(head[:7]) and max(head[3:5]) <= head[2])
        need(len(head) <= 8 and all(EXTRAS(extras) and few_ignored(extras) for extras in head[7:]))
        sender = self.authenticate(head, signature, (header, self.name, pk), content, now_ms / 1000)  # 8, 9, 10
        while stream.tell() < len(content):  # 11
            need(MESSAGE(fields := decode(stream)) and few_ignored(fields) and len(messages) < 1024)
            created_ms, ttl_s = head[5] + fields.get(3, 0), min(fields.get(4, head[6]), self.limit_s)
            messages.append({**fields, 3: created_ms, 4: ttl_s})
        latest_ms = max([head[5], *(message[3] for message in messages)])
        need(head[2] + len(messages) <= MAX_INT and latest_ms <= MAX_TIME_MS)
        need(latest_ms <= now_ms + AHEAD_S * 1000, "clock-ahead")  # 12
        return sender, head, messages

    def authenticate(self, head, signature, signed, content, now_s):  # by what is known under certId, else is attached
        attached = [tuple(extras[1]) for extras in head[7:] if 1 in extras]
        known = [chain for chain in self.chains.get(head[0], ()) if self.identify(chain, now_s)]
        refusals = []
        for chain in known + attached:
            try:
                need(found := self.identify(chain, now_s), UNTRUSTED)  # 8
                need(cert_hash(leaf := found[1][0])[:8] == head[0])
                self.check_revoked(*found, now_s)  # 9
                need(verifies(leaf, der(signature), signed_bytes(*signed, leaf, content)), "bad-signature")  # 10
                self.chains.setdefault(head[0], set()).add(chain)
                return found[0]
            except Refused as refusal:
                refusals.append(refusal)
        raise next(iter(refusals), Refused("unknown-certificate"))

    # --- To send ---
    def seal(self, to, message, now_s):  # (envelopeId, body) for a party whose card we have; chain and card are attached
        card, chain = self.cards.get(to) or ({6: []}, ())
        pk = next((pk for suite, pk in card[6] if suite == 1 and suite in self.suites), None)
        need(pk and now_s <= card[5] and (found := self.identify(chain, now_s)), "no card that is valid")
        self.check_revoked(*found, now_s)
        ephemeral, lane = x25519.X25519PrivateKey.generate(), self.lanes.setdefault(to, [os.urandom(8), 0])
        enc, leaf = raw(ephemeral.public_key()), x509.load_der_x509_certificate(self.chain[0])
        secret = session_secret(ephemeral.exchange(x25519.X25519PublicKey.from_public_bytes(pk)), enc, pk, to)
        # each is confirmed before the next is sealed: floor and open are its own number
        head = [cert_hash(leaf)[:8], *lane, 0, 0, int(now_s * 1000), min(86_400, card[7]), {1: self.chain, 3: self.card}]
        content = cbor2.dumps(head) + cbor2.dumps(message)
        envelope_id = hmac.digest(secret, lp(b"sealbus-v1 id") + os.urandom(16) + sha256(content), "sha256")[:16]
        header = b"\x01\x01" + key_id(pk) + enc + envelope_id
        rs = utils.decode_dss_signature(self.key.sign(signed_bytes(header, to, pk, leaf, content), ECDSA))
        (cipher, nonce), lane[1] = cipher_of(secret, envelope_id), lane[1] + 1
        return envelope_id, header + cipher.encrypt(nonce, b"".join(n.to_bytes(32, "big") for n in rs) + content, header)

# --- To start ---
def load(folder):
    read = lambda name: (folder / name).read_bytes()
    begin = b"-----BEGIN CERTIFICATE-----"
    pem = lambda name: [x509.load_pem_x509_certificate(begin + block) for block in read(name).split(begin)[1:]]
    config, trust = json.loads(read("config.json")), json.loads(read("trust.json"))
    revocation = trust.get("revocation", {"signers": []})
    keys = [load_pem_private_key(path.read_bytes(), None) for path in folder.glob("sealing/*.key")]
    us = Party(config["address"], trust, sum(map(pem, trust["roots"]), []), revocation["signers"], keys)
    us.key, us.card = load_pem_private_key(read("identity.key"), None), read("card.cbor")
    us.chain = [one.public_bytes(Encoding.DER) for one in pem("identity.crt") + pem("chain.crt")]
    if us.signers:
        us.learn_revoked(read(revocation["file"]), time.time())
    us.learn_card(us.card, time.time())
    us.limit_s = us.cards[us.name][0][7]
    for path in (path for name in config["directory"] for path in (folder / name).glob("*.cbor")):
        us.learn_card(path.read_bytes(), time.time())
    return us, config

# --- AMQP binding ---
def connect(folder, config):
    """A channel to the first broker that answers."""
    tls = ssl.create_default_context(cafile=folder / config["serverCa"])
    with tempfile.NamedTemporaryFile() as file:  # leaf and intermediates in one
        file.write((folder / "identity.crt").read_bytes() + (folder / "chain.crt").read_bytes())
        file.flush()
        tls.load_cert_chain(file.name, folder / "identity.key")
    for url in map(urlsplit, config["brokers"]):
        external, options = pika.credentials.ExternalCredentials(), pika.SSLOptions(tls, url.hostname)
        try:
            return pika.BlockingConnection(
                pika.ConnectionParameters(url.hostname, url.port or 5671, config["vhost"], external, ssl_options=options)
            ).channel()
        except (pika.exceptions.AMQPError, OSError) as error:
            print(f"{url.netloc}: {error!r}", file=sys.stderr)
    raise SystemExit("no broker answers")

def answer(us, exchange, channel, count):
    """To receive, and to send. Opened → seen before → expired → answered, confirmed, remembered → acknowledged."""
    seen = set()
    channel.confirm_delivery()
    channel.basic_qos(prefetch_count=64)
    for method, _, body in channel.consume(f"inbox.{us.name[1]}"):
        try:
            (domain, address, role), head, messages = us.open(body, time.time() * 1000)
            if len(head) == 8 and 3 in head[7]:
                us.learn_card(head[7][3], time.time())
            for number, message in enumerate(messages, head[2]):
                place, expires_ms = (domain, address, head[1], number), message[3] + message[4] * 1000
                if place in seen or time.time() * 1000 > expires_ms:
                    continue
                if message[1] == "sealbus/card":
                    us.learn_card(message[2], time.time())
                elif not message[1].startswith("sealbus/"):
                    print(f"{message[1]} from {address}, a {role}: {message[2].decode(errors='replace')}", flush=True)
                    reply = {1: message[1].removeprefix("get_"), 2: message[2], 8: [head[1], number]}
                    envelope_id, sealed = us.seal((domain, address), reply, time.time())
                    properties = pika.BasicProperties(message_id=envelope_id.hex(), delivery_mode=2)
                    channel.basic_publish(exchange, f"{address}.{us.name[1]}", sealed, properties, mandatory=True)
                    count -= 1
                seen.add(place)
            channel.basic_ack(method.delivery_tag)
        except Refused as refusal:
            print(f"left unacknowledged: {refusal}", file=sys.stderr)
        if count <= 0:
            return channel.connection.close()

if __name__ == "__main__":
    folder = Path(sys.argv[1])
    us, config = load(folder)
    answer(us, config["exchange"], connect(folder, config), int(sys.argv[2]))
