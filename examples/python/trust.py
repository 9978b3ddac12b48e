"""Who may speak: chains, cards and the revocation list of the sealbus protocol. Written from docs/PROTOCOL.md."""
import hashlib
import re
from datetime import datetime, timezone

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, SignatureAlgorithmOID

import cbor

AHEAD_S = 120  # how far another clock may be ahead
MAX_TTL_S = 604_800
MAX_AGE_S = 366 * 86_400
BAD_CERTIFICATE = (ValueError, UnsupportedAlgorithm, x509.InvalidVersion, x509.DuplicateExtension)


class Refused(Exception):
    """args[0] is the reason, in the words of "Order of opening"."""


def need(condition, reason):
    if not condition:
        raise Refused(reason)


def sha256(data):
    return hashlib.sha256(data).digest()


def lp(data):
    return bytes([len(data)]) + data


# --- Signatures: r(32) ‖ s(32) ---


def sign(private_key, data):
    r, s = utils.decode_dss_signature(private_key.sign(data, ec.ECDSA(SHA256())))
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def verifies(certificate, signature, data):
    if len(signature) != 64 or not has_p256_key(certificate):
        return False
    r, s = (int.from_bytes(half, "big") for half in (signature[:32], signature[32:]))
    try:  # r and s outside 1..n − 1 do not verify
        certificate.public_key().verify(utils.encode_dss_signature(r, s), data, ec.ECDSA(SHA256()))
    except InvalidSignature:
        return False
    return True


def has_p256_key(certificate):
    try:
        key = certificate.public_key()
    except BAD_CERTIFICATE:
        return False
    return isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name == "secp256r1"


# --- Trust: X.509 chains ---


def cert_hash(certificate):
    return sha256(certificate.tbs_certificate_bytes)


def spki_hash(certificate):
    return sha256(certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))


def parse_chain(ders):
    need(isinstance(ders, list) and 1 <= len(ders) <= 3 and all(type(der) is bytes for der in ders), "malformed")
    need(sum(map(len, ders)) <= 4096, "malformed")
    try:
        return [x509.load_der_x509_certificate(der) for der in ders]
    except BAD_CERTIFICATE:
        raise Refused("malformed") from None


def extension(certificate, kind):
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def text_of(certificate, oid):
    values = certificate.subject.get_attributes_for_oid(oid)
    return values[0].value if len(values) == 1 else ""


class Trust:
    """What trust.json says. issuers: as there; roots: certificates; signers: hashes in hex."""

    known_extensions = (
        x509.BasicConstraints,
        x509.KeyUsage,
        x509.ExtendedKeyUsage,
        x509.SubjectKeyIdentifier,
        x509.AuthorityKeyIdentifier,
    )
    issuer_purposes = (ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE)

    def __init__(self, domain, suites, roots, issuers, signers):
        self.domain, self.suites, self.roots = domain, suites, roots
        self.issuers, self.signers = issuers, signers

    def identify(self, chain, now_s):
        """(domain, address, role) of a chain that is accepted now."""
        try:
            issuer = self.check_issuers(chain, now_s)[1]
            self.check_leaf(chain[0])
        except BAD_CERTIFICATE:
            raise Refused("untrusted-certificate") from None
        address, role = text_of(chain[0], NameOID.COMMON_NAME), text_of(chain[0], NameOID.ORGANIZATIONAL_UNIT_NAME)
        need(re.fullmatch(r"[A-Za-z0-9_-]{1,64}", address), "untrusted-certificate")
        need(re.fullmatch(r"[A-Za-z0-9._-]{1,64}", role), "untrusted-certificate")
        for entry in self.issuers:
            allowed = role in entry["roles"] or "*" in entry["roles"]
            by_it = entry["spkiSha256"] == spki_hash(issuer).hex()
            if by_it and allowed and address.startswith(tuple(entry["prefixes"])):
                return entry["domain"], address, role
        raise Refused("untrusted-certificate")

    def is_valid(self, chain, now_s):
        try:
            return bool(self.identify(chain, now_s))
        except Refused:
            return False

    def check_issuers(self, chain, now_s):
        """The chain with its root."""
        for root in self.roots:
            path = [*chain, root]
            if all(signed_by(*pair) for pair in zip(path, path[1:])):
                break
        else:
            raise Refused("untrusted-certificate")
        now = datetime.utcfromtimestamp(now_s)
        for depth, certificate in enumerate(path):
            need(certificate.not_valid_before <= now <= certificate.not_valid_after, "untrusted-certificate")
            for ext in certificate.extensions:
                need(not ext.critical or isinstance(ext.value, self.known_extensions), "untrusted-certificate")
            if depth > 0:
                basic, usage = extension(certificate, x509.BasicConstraints), extension(certificate, x509.KeyUsage)
                need(basic and basic.ca and usage and usage.key_cert_sign, "untrusted-certificate")
                need(basic.path_length is None or depth - 1 <= basic.path_length, "untrusted-certificate")
                extended = extension(certificate, x509.ExtendedKeyUsage)
                for_clients = extended is None or any(purpose in extended for purpose in self.issuer_purposes)
                need(for_clients, "untrusted-certificate")
        return path

    @staticmethod
    def check_leaf(leaf):
        basic, usage = extension(leaf, x509.BasicConstraints), extension(leaf, x509.KeyUsage)
        extended = extension(leaf, x509.ExtendedKeyUsage) or ()
        forbidden = (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE)
        need(not (basic and basic.ca), "untrusted-certificate")
        need(usage and usage.digital_signature and not usage.key_cert_sign, "untrusted-certificate")
        need(ExtendedKeyUsageOID.CLIENT_AUTH in extended, "untrusted-certificate")
        need(not any(purpose in extended for purpose in forbidden), "untrusted-certificate")


def signed_by(certificate, issuer):
    """Both keys P-256, the signature ECDSA with SHA-256; and the certificate names its issuer."""
    ecdsa = certificate.signature_algorithm_oid == SignatureAlgorithmOID.ECDSA_WITH_SHA256
    if not (ecdsa and has_p256_key(certificate) and has_p256_key(issuer) and certificate.issuer == issuer.subject):
        return False
    try:
        issuer.public_key().verify(certificate.signature, certificate.tbs_certificate_bytes, ec.ECDSA(SHA256()))
    except InvalidSignature:
        return False
    return True


# --- Cards and revocation lists: [body, signature, chain] ---


def signed_list(data, label, max_bytes, last_field):
    """(body, chain) of a card or a revocation list that its own leaf has signed. Its fields are 1 to last_field."""
    try:
        need(len(data) <= max_bytes, "malformed")
        outer = cbor.one(data)
        need(type(outer) is list and list(map(type, outer)) == [bytes, bytes, list], "malformed")
        body, chain = cbor.one(outer[0]), parse_chain(outer[2])
    except cbor.Malformed:
        raise Refused("malformed") from None
    need(has_fields(body, last_field), "malformed")
    need(verifies(chain[0], outer[1], lp(label) + outer[0]), "bad-signature")
    return body, chain


def has_fields(body, last):
    """All of 1 to last; other keys up to 63 are refused, from 64 on ignored."""
    fields = range(1, last + 1)
    known = type(body) is dict and all(type(key) is int and (key in fields or key > 63) for key in body)
    return known and all(field in body for field in fields)


class Card:
    """A party's sealing keys. @raises Refused"""

    def __init__(self, data, trust, now_s):
        body, self.chain = signed_list(data, b"sealbus-v1 card", 8192, 9)
        self.domain, self.address, self.counter, not_before, self.not_after = (body[n] for n in range(1, 6))
        keys, self.limit_s = body[6], body[7]
        need(all(type(body[n]) is int and body[n] >= 0 for n in (3, 4, 5, 7, 9)) and body[9] <= 2, "malformed")
        need(1 <= self.limit_s <= MAX_TTL_S and type(keys) is list and 1 <= len(keys) <= 8, "malformed")
        need(all(is_key(key) for key in keys), "malformed")
        need(trust.identify(self.chain, now_s)[:2] == (self.domain, self.address), "untrusted-certificate")
        need(cert_hash(self.chain[0]) == body[8], "untrusted-certificate")
        need(not_before < self.not_after <= seconds(self.chain[0].not_valid_after), "malformed")
        need(max(self.counter / 1000, not_before) <= now_s + AHEAD_S, "clock-ahead")
        self.public_key = next((pk for suite, pk in keys if suite == 1 and suite in trust.suites), None)


def is_key(key):
    if type(key) is not list or list(map(type, key)) != [int, bytes]:
        return False
    return key[0] != 1 or len(key[1]) == 32


def seconds(naive):
    return naive.replace(tzinfo=timezone.utc).timestamp()


class RevocationList:
    """Certificates that are not to be believed any more. @raises Refused"""

    def __init__(self, data, trust, now_s):
        body, chain = signed_list(data, b"sealbus-v1 revocation-list", 1 << 20, 6)
        need(body[1] == trust.domain, "malformed")
        need(all(type(body[n]) is int and body[n] >= 0 for n in (2, 3, 4)) and body[3] <= now_s + AHEAD_S, "malformed")
        need(1 <= body[4] <= MAX_AGE_S, "malformed")
        need(spki_hash(chain[0]).hex() in trust.signers, "untrusted-certificate")
        usage = extension(trust.check_issuers(chain, now_s)[0], x509.KeyUsage)
        need(usage and (usage.digital_signature or usage.crl_sign), "untrusted-certificate")
        need(are_pairs(body[5], bytes, bytes) and are_pairs(body[6], str, int), "malformed")
        self.stale_at_s = body[3] + body[4]
        self.serials = {(spki, int.from_bytes(serial, "big")) for spki, serial in body[5]}
        self.issued_before_s = dict(sorted(body[6], key=lambda entry: entry[1]))  # of two, the later

    def check(self, path, address, now_s):
        """path: a chain and its root."""
        pairs = ((spki_hash(issuer), certificate.serial_number) for certificate, issuer in zip(path, path[1:]))
        need(not any(pair in self.serials for pair in pairs), "revoked")
        need(seconds(path[0].not_valid_before) >= self.issued_before_s.get(address, 0), "revoked")
        need(now_s <= self.stale_at_s, "stale-revocation")


def are_pairs(value, *types):
    return type(value) is list and all(type(entry) is list and tuple(map(type, entry)) == types for entry in value)
