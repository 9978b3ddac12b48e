"""Opens the cases of test/vectors/sealed-v1.json with minimal.py: check_minimal.py FILE. Exit 1 if any turns out otherwise.

What opens has to have the right contents, what must not open has to be refused: minimal.py has reasons of its own."""
import json
import sys

from cbor2.types import CBORDecodeError
from cryptography import x509
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from minimal import Party, cert_hash

REFUSAL = (ValueError, InvalidTag, CBORDecodeError)  # any other error is one of minimal.py
VECTORS = json.load(open(sys.argv[1], encoding="utf-8"))


def from_hex(values):
    return list(map(bytes.fromhex, values))


def party_of(case):
    me, trust = VECTORS["recipient"], VECTORS["trust"]
    trust = {**trust, "revocation": {"signers": trust["revocationSigners"]}}
    roots = [x509.load_der_x509_certificate(der) for der in from_hex(trust["roots"])]
    keys = [X25519PrivateKey.from_private_bytes(bytes.fromhex(key["privateKey"])) for key in me["sealingKeys"]]
    party = Party(me["address"], trust, roots, keys)
    party.limit_s = me["lifetimeSeconds"]
    for name in case["known"]:
        chain = from_hex(VECTORS["senders"][name]["chain"])
        party.chains[cert_hash(x509.load_der_x509_certificate(chain[0]))[:8]] = chain
    if "revocationList" in case:
        party.read_revoked(bytes.fromhex(case["revocationList"]), case["nowMs"] / 1000)
    return party


def opened(case):
    """[sender, epoch, seq, [type, payload, created, lifetime] of each message], or None if it is refused."""
    party = party_of(case)
    try:
        sender, head, messages = party.open(bytes.fromhex(case["body"]), case["nowMs"])
    except REFUSAL as error:
        if "-v" in sys.argv:
            print(f"{case['name']}: {error!r}")
        return None
    return [list(sender), head[1].hex(), head[2], [[m[1], m[2].hex(), m[3], m[4]] for m in messages]]


def expected(case):
    result = case["expected"]
    if not result["ok"]:
        return None
    names = ("type", "payload", "createdAtMs", "ttlSeconds")
    messages = [[message[name] for name in names] for message in result["messages"]]
    messages = [[kind, payload["hex"], *times] for kind, payload, *times in messages]
    return [[result["from"][name] for name in ("domain", "address", "role")], result["epoch"], result["seq"], messages]


wrong = [case["name"] for case in VECTORS["cases"] if opened(case) != expected(case)]
for name in wrong:
    print(f"{name}: not as expected")
print(f"{len(VECTORS['cases']) - len(wrong)} of {len(VECTORS['cases'])} as expected")
sys.exit(1 if wrong else 0)
