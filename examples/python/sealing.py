"""Envelopes of the sealbus protocol, version 1: bytes in, bytes out. Written from docs/PROTOCOL.md."""
import hmac
import os
import re
import time

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

import cbor
from trust import AHEAD_S, MAX_TTL_S, Refused, cert_hash, lp, need, parse_chain, sha256, sign, verifies

MAX_BODY_BYTES = 1 << 20
MAX_TIME_MS = 8_640_000_000_000_000
MAX_IGNORED_ITEMS = 256
MAX_IGNORED_BYTES = 1024
MAX_HEAD_ITEMS = 22 + 2 * MAX_IGNORED_ITEMS  # all that have a meaning, and the ignored with their keys
TYPE = re.compile(r"[A-Za-z0-9._/-]{1,64}")


def raw(public_key):
    return public_key.public_bytes(Encoding.Raw, PublicFormat.Raw)


def party(domain, address):
    return lp(domain.encode()) + lp(address.encode())


def key_id(suite, public_key):
    return sha256(lp(b"sealbus-v1 key-id") + bytes([suite]) + public_key)[:8]


# --- Session: HPKE (RFC 9180), mode Base, export only, DHKEM(X25519, HKDF-SHA256) ---

KEM = b"KEM\x00\x20"
HPKE = b"HPKE\x00\x20\x00\x01\xff\xff"


def extract(suite, salt, label, ikm):
    return hmac.digest(salt or bytes(32), b"HPKE-v1" + suite + label + ikm, "sha256")


def expand(suite, prk, label, info):
    return HKDFExpand(SHA256(), 32, b"\x00\x20HPKE-v1" + suite + label + info).derive(prk)


def session_secret(dh, enc, public_key, domain, address):
    info = lp(b"sealbus-v1 session") + b"\x01\x01" + party(domain, address)
    shared = expand(KEM, extract(KEM, b"", b"eae_prk", dh), b"shared_secret", enc + public_key)
    context = b"\x00" + extract(HPKE, b"", b"psk_id_hash", b"") + extract(HPKE, b"", b"info_hash", info)
    exporter = expand(HPKE, extract(HPKE, shared, b"secret", b""), b"exp", context)
    return expand(HPKE, exporter, b"sec", b"sealbus-v1 envelope")


def envelope_cipher(secret, envelope_id):
    okm = HKDFExpand(SHA256(), 44, lp(b"sealbus-v1 key") + envelope_id).derive(secret)
    return ChaCha20Poly1305(okm[:32]), okm[32:]


def signed_bytes(header, domain, address, public_key, fingerprint, content):
    hashes = sha256(public_key) + fingerprint + sha256(content)
    return lp(b"sealbus-v1 envelope-signature") + header + party(domain, address) + hashes


# --- Opening ---


class Receiver:
    """Opens what is sealed to one party. keys: {keyId: X25519 private key}; destroyed: ids of keys that it had."""

    def __init__(self, address, trust, keys, limit_s, revocation=None, destroyed=()):
        self.address, self.trust, self.keys, self.limit_s = address, trust, keys, limit_s
        self.revocation, self.destroyed, self.chains = revocation, destroyed, {}  # certId: chains that spoke before

    def open(self, body, now_ms):
        """The envelope: head and messages of an authenticated sender. @raises Refused. The steps as in PROTOCOL.md."""
        need(1 <= len(body) <= MAX_BODY_BYTES and body[0] == 1, "not-an-envelope")  # 1
        need(len(body) > 1 and body[1] == 1 and 1 in self.trust.suites, "unknown-suite")  # 2
        need(len(body) > 58 + 80, "not-an-envelope")  # 3
        header, enc, envelope_id = body[:58], body[10:42], body[42:58]
        private_key = self.keys.get(header[2:10])  # 4
        need(private_key, "destroyed-key" if header[2:10] in self.destroyed else "unknown-key")
        public_key = raw(private_key.public_key())
        try:  # 5, 6
            dh = private_key.exchange(X25519PublicKey.from_public_bytes(enc))
            secret = session_secret(dh, enc, public_key, self.trust.domain, self.address)
            cipher, nonce = envelope_cipher(secret, envelope_id)
            plain = cipher.decrypt(nonce, body[58:], header)
        except (ValueError, InvalidTag):  # ValueError: all zero
            raise Refused("bad-tag") from None
        signature, content = plain[:64], plain[64:]
        try:
            head, after_head = cbor.decode(content, 0, budget=cbor.Budget(MAX_HEAD_ITEMS))
            envelope = Envelope(head)  # 7
            signed_parts = public_key, content
            chain, envelope.sender = self.authenticate(envelope, signature, header, signed_parts, now_ms / 1000)  # 8, 9, 10
            envelope.read_messages(cbor.sequence(content[after_head:]), self.limit_s)  # 11
        except cbor.Malformed:
            raise Refused("malformed") from None
        need(all(m.created_ms <= now_ms + AHEAD_S * 1000 for m in envelope.messages), "clock-ahead")  # 12
        need(envelope.created_ms <= now_ms + AHEAD_S * 1000, "clock-ahead")
        envelope.id, envelope.content_hash = envelope_id, sha256(content)
        self.learn(chain)
        return envelope

    def learn(self, chain):
        known = self.chains.setdefault(cert_hash(chain[0])[:8], [])
        if chain not in known:
            known.append(chain)

    def authenticate(self, envelope, signature, header, signed_parts, now_s):
        """(chain, sender) by which the signature is right: one known under certId, else the attached one."""
        first_refusal = None
        for chain in self.candidates(envelope, now_s):
            try:
                domain, address, role = self.trust.identify(chain, now_s)
                need(cert_hash(chain[0])[:8] == envelope.cert_id, "malformed")
                if self.revocation:
                    self.revocation.check(self.trust.check_issuers(chain, now_s), address, now_s)
                fingerprint = cert_hash(chain[0])
                public_key, content = signed_parts
                signed = signed_bytes(header, self.trust.domain, self.address, public_key, fingerprint, content)
                need(verifies(chain[0], signature, signed), "bad-signature")
                return chain, (domain, address, role, fingerprint)
            except Refused as refusal:
                first_refusal = first_refusal or refusal
        raise first_refusal or Refused("unknown-certificate")

    def candidates(self, envelope, now_s):
        known = [chain for chain in self.chains.get(envelope.cert_id, ()) if self.trust.is_valid(chain, now_s)]
        return [*known, parse_chain(envelope.chain)] if envelope.chain else known


def is_bytes(value, size):
    return type(value) is bytes and len(value) == size


def is_number(value, limit=cbor.MAX_INT, least=0):
    return type(value) is int and least <= value <= limit


def is_place(value):
    return type(value) is list and len(value) == 2 and is_bytes(value[0], 8) and is_number(value[1])


def need_few_ignored(fields):
    """What stands under keys that are ignored is little."""
    ignored = [value for key, value in fields.items() if key > 63]
    need(sum(map(cbor.items, ignored)) <= MAX_IGNORED_ITEMS, "malformed")
    need(sum(len(cbor.encode(value)) for value in ignored) <= MAX_IGNORED_BYTES, "malformed")


class Envelope:
    """What the head says, each item checked; messages once they are read."""

    def __init__(self, head):
        need(type(head) is list and len(head) in (7, 8), "malformed")
        self.cert_id, self.epoch, self.seq, floor_gap, open_gap, self.created_ms, self.ttl_s = head[:7]
        need(is_bytes(self.cert_id, 8) and is_bytes(self.epoch, 8) and is_number(self.seq), "malformed")
        need(is_number(floor_gap, self.seq) and is_number(open_gap, self.seq), "malformed")
        need(is_number(self.created_ms, MAX_TIME_MS) and is_number(self.ttl_s, MAX_TTL_S, 1), "malformed")
        self.floor, self.open, self.messages = self.seq - floor_gap, self.seq - open_gap, []
        extras = head[7] if len(head) == 8 else {}
        need(type(extras) is dict and all(is_number(k, least=1) and (k < 5 or k > 63) for k in extras), "malformed")
        need_few_ignored(extras)
        self.chain, self.predecessor, self.card = extras.get(1), extras.get(2), extras.get(3)
        need(self.predecessor is None or is_place(self.predecessor), "malformed")
        need(all(type(extras.get(k, b"")) is bytes for k in (3, 4)), "malformed")

    def read_messages(self, items, limit_s):
        need(len(items) <= 1024 and is_number(self.seq + len(items)), "malformed")
        self.messages = [Message(self, i, fields, limit_s) for i, fields in enumerate(items)]


class Message:
    def __init__(self, envelope, index, fields, limit_s):
        need(type(fields) is dict and 1 in fields and 2 in fields, "malformed")
        need(all(is_number(k, least=1) and (k < 11 or k > 63) for k in fields), "malformed")
        need_few_ignored(fields)
        self.type, self.payload, self.epoch, self.seq = fields[1], fields[2], envelope.epoch, envelope.seq + index
        after_ms, ttl_s, flags = fields.get(3, 0), fields.get(4, envelope.ttl_s), fields.get(9, 0)
        self.content_type = fields.get(5, "application/json")
        self.correlation_id, self.reply_to, self.in_reply_to = fields.get(6), fields.get(7), fields.get(8)
        self.headers = fields.get(10)
        need(type(self.type) is str and TYPE.fullmatch(self.type) and type(self.payload) is bytes, "malformed")
        need(is_number(after_ms) and is_number(ttl_s, MAX_TTL_S, 1) and is_number(flags, 3), "malformed")
        need(type(self.content_type) is str and type(self.reply_to) in (str, type(None)), "malformed")
        need(type(self.correlation_id) in (str, bytes, type(None)), "malformed")
        need(self.in_reply_to is None or is_place(self.in_reply_to), "malformed")
        need(self.headers is None or (type(self.headers) is dict and len(self.headers) <= 64), "malformed")
        for name, value in (self.headers or {}).items():
            need(type(name) is str and type(value) in (str, bytes, int, bool), "malformed")
        self.receipt_wanted, self.is_request = bool(flags & 1), bool(flags & 2)
        self.created_ms, self.ttl_s = envelope.created_ms + after_ms, min(ttl_s, limit_s)
        self.expires_ms = self.created_ms + self.ttl_s * 1000
        need(self.created_ms <= MAX_TIME_MS, "malformed")


# --- Sealing ---


class Session:
    """To one recipient, for at most an hour."""

    def __init__(self, domain, address, public_key, ephemeral=None):
        ephemeral = ephemeral or X25519PrivateKey.generate()
        self.domain, self.address, self.public_key = domain, address, public_key
        self.enc, self.made_s = raw(ephemeral.public_key()), time.monotonic()
        dh = ephemeral.exchange(X25519PublicKey.from_public_bytes(public_key))
        self.secret = session_secret(dh, self.enc, public_key, domain, address)

    def seal(self, identity_key, fingerprint, content, random=None):
        """(body, envelopeId) of a content, signed by the key whose certificate has that certHash."""
        random = random or os.urandom(16)
        envelope_id = hmac.digest(self.secret, lp(b"sealbus-v1 id") + random + sha256(content), "sha256")[:16]
        header = b"\x01\x01" + key_id(1, self.public_key) + self.enc + envelope_id
        signed = signed_bytes(header, self.domain, self.address, self.public_key, fingerprint, content)
        cipher, nonce = envelope_cipher(self.secret, envelope_id)
        return header + cipher.encrypt(nonce, sign(identity_key, signed) + content, header), envelope_id
