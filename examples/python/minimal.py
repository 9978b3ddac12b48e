"""A whole client in one file, to be read beside docs/PROTOCOL.md: the headings here are its sections.
minimal.py DIR COUNT    answers COUNT messages to the party whose identity folder DIR is, then ends
Left out, see client.py: memory on disk (another process answers again), order, receipts, reconnecting,
parking (what does not open stays unacknowledged), declaring an inbox, cards and chains from elsewhere than
DIR/cards and the envelope at hand, the limits on what is ignored, the reasons by their names.
"""
import datetime, hashlib, hmac, io, json, os, pathlib, re, ssl, sys, tempfile, time, urllib.parse
import cbor2, cbor2.decoder, pika
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, utils, x25519
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID as Purpose, NameOID, SignatureAlgorithmOID

AHEAD_S, MAX_TTL_S, MAX_TIME_MS, MAX_INT = 120, 604_800, 8_640_000_000_000_000, 2**53 - 1
CLIENT, SERVER, ANY = Purpose.CLIENT_AUTH, Purpose.SERVER_AUTH, Purpose.ANY_EXTENDED_KEY_USAGE
ECDSA, POINT = ec.ECDSA(SHA256()), x25519.X25519PublicKey.from_public_bytes
def need(condition, what):
    if not condition:
        raise ValueError(f"refused for its {what}")

# --- Notation ---
def sha256(data): return hashlib.sha256(data).digest()
def lp(data): return bytes([len(data)]) + data
def party(name): return lp(name[0].encode()) + lp(name[1].encode())
def raw(key): return key.public_bytes(Encoding.Raw, PublicFormat.Raw)
def unix(date): return date.replace(tzinfo=datetime.timezone.utc).timestamp()

# --- CBOR: what cbor2 reads has to be plain, and the same bytes when written again ---
cbor2.decoder.major_decoders[6] = lambda *_: need(False, "tag")  # some make a short input large
def decode(stream, kind, what):
    start = stream.tell()
    value = cbor2.decoder.CBORDecoder(stream).decode()
    need(is_plain(value) and kind(value), what)
    need(cbor2.dumps(value, canonical=True) == stream.getvalue()[start : stream.tell()], "encoding")
    return value
def is_plain(value, depth=1):  # only what the protocol has, at most 4 deep
    inner = [*value, *value.values()] if type(value) is dict else value if type(value) is list else ()
    known = type(value) in (dict, list, bytes, str, bool) or integer(-MAX_INT)(value)
    return known and depth <= 4 and all(is_plain(item, depth + 1) for item in inner)

# --- Content: its tables. Keys that are not in one are refused up to 63, ignored from 64 on ---
def integer(least=0, most=MAX_INT): return lambda v: type(v) is int and least <= v <= most
def blob(size=None): return lambda v: type(v) is bytes and size in (None, len(v))
def text(pattern=".*"): return lambda v: type(v) is str and re.fullmatch(pattern, v, re.DOTALL)
def row(*kinds, optional=0):
    fits = lambda v: type(v) is list and 0 <= len(kinds) - len(v) <= optional
    return lambda v: fits(v) and all(kind(item) for kind, item in zip(kinds, v))
def table(required, kinds):
    field = lambda key, value: kinds[key](value) if key in kinds else integer(64)(key)
    return lambda v: type(v) is dict and required <= v.keys() and all(field(*pair) for pair in v.items())
CHAIN = lambda v: row(blob(), blob(), blob(), optional=2)(v) and sum(map(len, v)) <= 4096
HEADERS = lambda v: type(v) is dict and len(v) <= 64 and all(type(k) is str and SCALAR(v[k]) for k in v)
SCALAR, STRING = lambda v: type(v) in (str, bytes, int, bool), lambda v: type(v) in (str, bytes)
SIGNED, FIELDS = row(blob(), blob(64), CHAIN), lambda v: type(v) is dict
TTL, TIME_MS, PLACE = integer(1, MAX_TTL_S), integer(0, MAX_TIME_MS), row(blob(8), integer())
EXTRAS = table(set(), {1: CHAIN, 2: PLACE, 3: blob(), 4: blob()})
HEAD = row(blob(8), blob(8), integer(), integer(), integer(), TIME_MS, TTL, EXTRAS, optional=1)
MESSAGE = table({1, 2}, {1: text("[A-Za-z0-9._/-]{1,64}"), 2: blob(), 3: integer(), 4: TTL, 5: text(),
    6: STRING, 7: text(), 8: PLACE, 9: integer(0, 3), 10: HEADERS})

# --- Envelope: HPKE (RFC 9180), mode Base, export only, and what is derived from its secret ---
def expand(prk, info, size): return HKDFExpand(SHA256(), size, info).derive(prk)
def labeled_extract(suite, salt, data): return hmac.digest(salt, b"HPKE-v1" + suite + data, "sha256")
def labeled_expand(suite, prk, info): return expand(prk, b"\x00\x20HPKE-v1" + suite + info, 32)
def key_id(pk): return sha256(lp(b"sealbus-v1 key-id") + b"\x01" + pk)[:8]
def session_secret(dh, enc, pk, recipient):
    kem, hpke = b"KEM\x00\x20", b"HPKE\x00\x20\x00\x01\xff\xff"
    info = lp(b"sealbus-v1 session") + b"\x01\x01" + party(recipient)
    shared = labeled_expand(kem, labeled_extract(kem, b"", b"eae_prk" + dh), b"shared_secret" + enc + pk)
    hashes = labeled_extract(hpke, b"", b"psk_id_hash") + labeled_extract(hpke, b"", b"info_hash" + info)
    exporter = labeled_expand(hpke, labeled_extract(hpke, shared, b"secret"), b"exp\x00" + hashes)
    return labeled_expand(hpke, exporter, b"sec" + b"sealbus-v1 envelope")
def cipher_of(secret, envelope_id):
    okm = expand(secret, lp(b"sealbus-v1 key") + envelope_id, 44)
    return ChaCha20Poly1305(okm[:32]), okm[32:]
def signed_bytes(header, recipient, pk, leaf, content):
    hashes = sha256(pk) + cert_hash(leaf) + sha256(content)
    return lp(b"sealbus-v1 envelope-signature") + header + party(recipient) + hashes

# --- Trust ---
def cert_hash(one): return sha256(one.tbs_certificate_bytes)
def der_key(one): return one.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
def der(rs): return utils.encode_dss_signature(int.from_bytes(rs[:32], "big"), int.from_bytes(rs[32:], "big"))
def verifies(one, signature, data):  # by ECDSA P-256 with SHA-256, and no other
    try:
        key = one.public_key()
        return key.curve.name == "secp256r1" and key.verify(signature, data, ECDSA) is None
    except Exception:  # another kind of key, or a signature by another key
        return False
USAGES = x509.BasicConstraints, x509.KeyUsage, x509.ExtendedKeyUsage
UNDERSTOOD = *USAGES, x509.SubjectKeyIdentifier, x509.AuthorityKeyIdentifier
def usages(one): return map({type(found.value): found.value for found in one.extensions}.get, USAGES)
def is_valid(one, issuer, depth, now_s):  # Trust 1 to 4; depth 0 is the leaf, the root has no issuer
    basic, usage, purposes = usages(one)
    is_ca = basic and basic.ca and (basic.path_length is None or basic.path_length >= depth - 1)
    may_issue = is_ca and usage and usage.key_cert_sign and (purposes is None or {CLIENT, ANY} & {*purposes})
    is_ecdsa = one.signature_algorithm_oid == SignatureAlgorithmOID.ECDSA_WITH_SHA256
    signed = one.signature, one.tbs_certificate_bytes
    by_issuer = not issuer or one.issuer == issuer.subject and verifies(issuer, *signed)
    known = all(isinstance(found.value, UNDERSTOOD) for found in one.extensions if found.critical)
    in_time = unix(one.not_valid_before) <= now_s <= unix(one.not_valid_after)
    return by_issuer and is_ecdsa and known and in_time and (depth == 0 or may_issue)

class Party:  # who we are, and whom we trust; whatever is raised in it is a refusal
    def __init__(self, address, trust, roots, keys):
        self.name, self.trust, self.roots = (trust["domain"], address), trust, roots
        self.keys = {key_id(raw(key.public_key())): key for key in keys}
        self.limit_s, self.revoked, self.chains, self.lanes = MAX_TTL_S, None, {}, {}
    def path(self, chain, now_s):  # the certificates of a chain in DER, and their root
        for root in self.roots:
            path = [*map(x509.load_der_x509_certificate, chain), root]
            if all(is_valid(*link, now_s) for link in zip(path, [*path[1:], None], range(4))):
                return path
        raise ValueError("no chain to a root of ours")

    def identify(self, chain, now_s):  # (domain, address, role) and the leaf
        leaf, issuer, *_ = path = self.path(chain, now_s)
        basic, usage, purposes = usages(leaf)  # Trust 5
        signs = usage and usage.digital_signature and not usage.key_cert_sign and not (basic and basic.ca)
        need(signs and purposes and CLIENT in purposes and not {SERVER, ANY} & {*purposes}, "usages")
        oids = NameOID.COMMON_NAME, NameOID.ORGANIZATIONAL_UNIT_NAME
        names = [[name.value for name in leaf.subject.get_attributes_for_oid(oid)] for oid in oids]
        need(row(row(text("[A-Za-z0-9_-]{1,64}")), row(text("[A-Za-z0-9._-]{1,64}")))(names), "names")
        ((address,), (role,)), spki = names, sha256(der_key(issuer)).hex()
        domains = [entry["domain"] for entry in self.trust["issuers"] if entry["spkiSha256"] == spki
            and {role, "*"} & {*entry["roles"]} and address.startswith(tuple(entry["prefixes"]))]
        need(domains, "issuer")  # Trust 6
        if self.revoked:
            pairs = [(sha256(der_key(above)), one.serial_number) for one, above in zip(path, path[1:])]
            revoked = {(key_hash, int.from_bytes(serial, "big")) for key_hash, serial in self.revoked[5]}
            since_s = max((before_s for name, before_s in self.revoked[6] if name == address), default=0)
            need(not revoked.intersection(pairs) and unix(leaf.not_valid_before) >= since_s, "revocation")
            need(now_s <= self.revoked[3] + self.revoked[4], "stale revocation list")
        return (domains[0], address, role), leaf

    # --- Card, Revocation list ---
    def signed(self, data, name, now_s):
        outer = decode(io.BytesIO(data), SIGNED, name)
        body, leaf = decode(io.BytesIO(outer[0]), FIELDS, name), self.path(outer[2], now_s)[0]
        need([cbor2.dumps(outer), cbor2.dumps(body)] == [data, outer[0]], "end")
        need(verifies(leaf, der(outer[1]), lp(f"sealbus-v1 {name}".encode()) + outer[0]), "signature")
        return body, outer[2], leaf
    def read_card(self, data, to, now_s):
        card, chain, leaf = self.signed(data, "card", now_s)
        domain, address, _ = self.identify(chain, now_s)[0]
        need([domain, address, cert_hash(leaf)] == [*to, card[8]] == [card[1], card[2], card[8]], "party")
        need(max(card[3] / 1000, card[4]) - AHEAD_S <= now_s < card[5] <= unix(leaf.not_valid_after), "time")
        return card
    def read_revoked(self, data, now_s):
        self.revoked, _, leaf = self.signed(data, "revocation-list", now_s)
        need(sha256(der_key(leaf)).hex() in self.trust["revocation"]["signers"], "signer")
        need(self.revoked[1] == self.name[0] and self.revoked[3] <= now_s + AHEAD_S, "domain and time")

    # --- Order of opening ---
    def open(self, body, now_ms):  # (sender, head, messages) of an envelope
        need(138 < len(body) <= 2**20 and body[:2] == b"\1\1" and 1 in self.trust["suites"], "kind")  # 1-3
        header, enc, key = body[:58], body[10:42], self.keys.get(body[2:10])
        need(key, "recipient's key")  # 4
        pk, dh = raw(key.public_key()), key.exchange(POINT(enc))
        cipher, nonce = cipher_of(session_secret(dh, enc, pk, self.name), body[42:58])
        plain = cipher.decrypt(nonce, body[58:], header)  # 6
        signature, content, messages = plain[:64], plain[64:], []
        head = decode(stream := io.BytesIO(content), HEAD, "head")  # 7
        chain = self.chains.get(head[0]) or [extras.get(1, []) for extras in [*head[7:], {}]][0]
        sender, leaf = self.identify(chain, now_ms / 1000)  # 8, 9
        signed = signed_bytes(header, self.name, pk, leaf, content)
        need(cert_hash(leaf)[:8] == head[0] and verifies(leaf, der(signature), signed), "signature")  # 10
        while stream.tell() < len(content):  # 11
            fields = decode(stream, MESSAGE, "message")
            created_ms, ttl_s = head[5] + fields.get(3, 0), min(fields.get(4, head[6]), self.limit_s)
            messages.append({**fields, 3: created_ms, 4: ttl_s})
        need(len(messages) <= 1024 and max(head[3:5]) <= head[2] <= MAX_INT - len(messages), "numbers")
        latest_ms = max([head[5], *(message[3] for message in messages)])
        need(latest_ms <= min(MAX_TIME_MS, now_ms + AHEAD_S * 1000), "clock")  # 12
        return sender, head, messages

    # --- To send ---
    def seal(self, to, message, now_s):  # (envelopeId, body). All before it is confirmed: no gaps
        card = self.read_card((self.folder / "cards" / f"{to[1]}.cbor").read_bytes(), to, now_s)
        pk = next(pk for suite, pk in card[6] if suite == 1 and suite in self.trust["suites"])
        ephemeral, leaf = x25519.X25519PrivateKey.generate(), x509.load_der_x509_certificate(self.chain[0])
        enc, dh = raw(ephemeral.public_key()), ephemeral.exchange(POINT(pk))
        secret, lane = session_secret(dh, enc, pk, to), self.lanes.setdefault(to, [os.urandom(8), 0])
        head = [cert_hash(leaf)[:8], *lane, 0, 0, int(now_s * 1000), min(86_400, card[7])]
        content = cbor2.dumps([*head, {1: self.chain, 3: self.card}]) + cbor2.dumps(message)
        unique = lp(b"sealbus-v1 id") + os.urandom(16) + sha256(content)
        header = b"\x01\x01" + key_id(pk) + enc + (envelope_id := hmac.digest(secret, unique, "sha256")[:16])
        signature = self.key.sign(signed_bytes(header, to, pk, leaf, content), ECDSA)
        rs = b"".join(number.to_bytes(32, "big") for number in utils.decode_dss_signature(signature))
        (cipher, nonce), lane[1] = cipher_of(secret, envelope_id), lane[1] + 1
        return envelope_id, header + cipher.encrypt(nonce, rs + content, header)

# --- To start ---
def load(folder):
    read = lambda name: (folder / name).read_bytes()
    blocks = lambda name: re.findall(b"-----BEGIN.*?-----END[^\n]*", read(name), re.DOTALL)
    pem = lambda *names: [x509.load_pem_x509_certificate(block) for name in names for block in blocks(name)]
    config, trust, now_s = json.loads(read("config.json")), json.loads(read("trust.json")), time.time()
    keys = [load_pem_private_key(path.read_bytes(), None) for path in folder.glob("sealing/*.key")]
    us = Party(config["address"], trust, pem(*trust["roots"]), keys)
    us.folder, us.key, us.card = folder, load_pem_private_key(read("identity.key"), None), read("card.cbor")
    us.chain = [one.public_bytes(Encoding.DER) for one in pem("identity.crt", "chain.crt")]
    if trust.get("revocation", {}).get("signers"):
        us.read_revoked(read(trust["revocation"]["file"]), now_s)
    us.limit_s = us.read_card(us.card, us.name, now_s)[7]
    chains = [cbor2.loads(path.read_bytes())[2] for path in folder.glob("cards/*.cbor")]
    us.chains = {cert_hash(x509.load_der_x509_certificate(chain[0]))[:8]: chain for chain in chains}
    return us, config

# --- AMQP binding ---
def connect(folder, config):  # a channel to the first broker that answers
    tls = ssl.create_default_context(cafile=folder / config["serverCa"])
    with tempfile.NamedTemporaryFile(buffering=0) as file:  # leaf and intermediates in one
        file.write((folder / "identity.crt").read_bytes() + (folder / "chain.crt").read_bytes())
        tls.load_cert_chain(file.name, folder / "identity.key")
    one = lambda url: pika.ConnectionParameters(url.hostname, url.port or 5671, config["vhost"],
        pika.credentials.ExternalCredentials(), ssl_options=pika.SSLOptions(tls, url.hostname))
    return pika.BlockingConnection([one(urllib.parse.urlsplit(url)) for url in config["brokers"]]).channel()
def answer(us, exchange, channel, count):  # open, answer, remember, acknowledge
    seen = set()
    channel.confirm_delivery()
    channel.basic_qos(prefetch_count=64)
    for method, _, body in channel.consume(f"inbox.{us.name[1]}"):
        try:
            (domain, address, role), head, messages = us.open(body, time.time() * 1000)
            for number, message in enumerate(messages, head[2]):
                kind, payload, expires_ms = message[1], message[2], message[3] + message[4] * 1000
                place = domain, address, head[1], number
                if place in seen or time.time() * 1000 > expires_ms or kind.startswith("sealbus/"):
                    continue
                print(f"{kind} from {address}, a {role}: {payload.decode(errors='replace')}", flush=True)
                reply = {1: kind.removeprefix("get_"), 2: payload, 8: [head[1], number]}
                envelope_id, sealed = us.seal((domain, address), reply, time.time())
                properties = pika.BasicProperties(message_id=envelope_id.hex(), delivery_mode=2)
                channel.basic_publish(exchange, f"{address}.{us.name[1]}", sealed, properties, mandatory=True)
                seen.add(place)
                count -= 1
            channel.basic_ack(method.delivery_tag)
        except Exception as error:  # n.b. where the connection is lost, the next turn raises it again
            print(f"left unacknowledged: {error!r}", file=sys.stderr)
        if count <= 0:
            return channel.connection.close()

if __name__ == "__main__":
    us, config = load(folder := pathlib.Path(sys.argv[1]))
    answer(us, config["exchange"], connect(folder, config), int(sys.argv[2]))
