"""Runs test/vectors/sealed-v1.json: check_vectors.py FILE. Prints a line for each case that differs; exit 1 if any does."""
import json
import sys

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from sealing import Receiver, Session
from trust import Card, Refused, RevocationList, Trust, parse_chain

VECTORS = json.load(open(sys.argv[1], encoding="utf-8"))


def certificates(ders):
    return [x509.load_der_x509_certificate(bytes.fromhex(der)) for der in ders]


def trust_of(file):
    return Trust(file["domain"], file["suites"], certificates(file["roots"]), file["issuers"], file["revocationSigners"])


def receiver_of(case):
    trust, me, now_s = trust_of(VECTORS["trust"]), VECTORS["recipient"], case["nowMs"] / 1000
    keys = {
        bytes.fromhex(key["keyId"]): X25519PrivateKey.from_private_bytes(bytes.fromhex(key["privateKey"]))
        for key in me["sealingKeys"]
    }
    listed = case.get("revocationList")
    revocation = RevocationList(bytes.fromhex(listed), trust, now_s) if listed else None
    destroyed = [bytes.fromhex(key) for key in me["destroyedKeyIds"]]
    receiver = Receiver(me["address"], trust, keys, me["lifetimeSeconds"], revocation, destroyed)
    for name in case["known"]:
        receiver.learn(certificates(VECTORS["senders"][name]["chain"]))
    return receiver


def binary(value):
    return {"hex": value.hex()} if isinstance(value, bytes) else value


def place(value, name):
    return {"epoch": value[0].hex(), name: value[1]}


def message_result(message):
    result = {
        "type": message.type,
        "payload": binary(message.payload),
        "createdAtMs": message.created_ms,
        "ttlSeconds": message.ttl_s,
        "contentType": message.content_type,
        "receiptWanted": message.receipt_wanted,
        "request": message.is_request,
    }
    if message.correlation_id is not None:
        result["correlationId"] = binary(message.correlation_id)
    if message.reply_to is not None:
        result["replyTo"] = message.reply_to
    if message.in_reply_to is not None:
        result["inReplyTo"] = place(message.in_reply_to, "seq")
    if message.headers is not None:
        result["headers"] = [[name, binary(value)] for name, value in message.headers.items()]
    return result


def result_of(case):
    try:
        envelope = receiver_of(case).open(bytes.fromhex(case["body"]), case["nowMs"])
    except Refused as refusal:
        return {"ok": False, "reason": refusal.args[0]}
    names = ("domain", "address", "role", "fingerprint")
    domain, address, role, fingerprint = envelope.sender
    result = {
        "ok": True,
        "from": dict(zip(names, (domain, address, role, fingerprint.hex()))),
        "envelopeId": envelope.id.hex(),
        "contentHash": envelope.content_hash.hex(),
        "epoch": envelope.epoch.hex(),
        "seq": envelope.seq,
        "floor": envelope.floor,
        "open": envelope.open,
        "createdAtMs": envelope.created_ms,
        "messages": [message_result(message) for message in envelope.messages],
    }
    if envelope.predecessor:
        result["predecessor"] = place(envelope.predecessor, "lastSeq")
    return result


def header_of(steps):
    """The header that our own sealing gives the same content with the same randomness: enc and envelopeId are in it."""
    me = VECTORS["recipient"]
    ephemeral = X25519PrivateKey.from_private_bytes(bytes.fromhex(steps["ephemeralPrivateKey"]))
    public_key = bytes.fromhex(me["sealingKeys"][0]["publicKey"])
    session = Session(me["domain"], me["address"], public_key, ephemeral)
    content, random = bytes.fromhex(steps["content"]), bytes.fromhex(steps["random"])
    return session.seal(ec.generate_private_key(ec.SECP256R1()), bytes(32), content, random)[0][:58].hex()


def main():
    wrong = []
    for case in VECTORS["cases"]:
        result = result_of(case)
        if result != case["expected"]:
            wrong.append(f"{case['name']}: expected {case['expected']}, got {result}")
        elif "steps" in case and header_of(case["steps"]) != case["steps"]["header"]:
            wrong.append(f"{case['name']}: sealing it gives another header")
    for name, sender in VECTORS["senders"].items():
        try:
            Card(bytes.fromhex(sender["card"]), trust_of(VECTORS["trust"]), VECTORS["cases"][0]["nowMs"] / 1000)
        except Refused as refusal:
            print(f"card of {name}: {refusal}")
    print("\n".join(wrong))
    print(f"{len(VECTORS['cases']) - len(wrong)} of {len(VECTORS['cases'])} as expected")
    sys.exit(1 if wrong else 0)


main()
