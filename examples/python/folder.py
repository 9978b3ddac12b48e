"""The identity folder that `sealbus pki` makes: PEM files, cards in CBOR, settings in JSON; and what a client remembers."""
import json
import sqlite3
import ssl
import tempfile
import time
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from sealing import key_id, raw
from trust import RevocationList, Trust


class Folder:
    """An identity folder, as `sealbus pki` makes it."""

    def __init__(self, path):
        self.path = Path(path)
        self.config, trust = self.json("config.json"), self.json("trust.json")
        self.address = self.config["address"]
        self.identity_key = load_pem_private_key((self.path / "identity.key").read_bytes(), None)
        self.chain = [*self.certificates("identity.crt"), *self.certificates("chain.crt")]
        roots = [certificate for name in trust["roots"] for certificate in self.certificates(name)]
        self.revoked = trust.get("revocation", {"signers": []})
        self.trust = Trust(trust["domain"], trust["suites"], roots, trust["issuers"], self.revoked["signers"])
        self.card = (self.path / "card.cbor").read_bytes()
        keys = [load_pem_private_key(path.read_bytes(), None) for path in self.path.glob("sealing/*.key")]
        self.sealing_keys = {key_id(1, raw(key.public_key())): key for key in keys}

    def json(self, name):
        return json.loads((self.path / name).read_text("utf-8"))

    def certificates(self, name):
        blocks = (self.path / name).read_text("ascii").split("-----BEGIN CERTIFICATE-----")[1:]
        return [x509.load_pem_x509_certificate(b"-----BEGIN CERTIFICATE-----" + block.encode()) for block in blocks]

    def revocation_list(self):
        """Required where trust.json names signers."""
        if not self.revoked["signers"]:
            return None
        return RevocationList((self.path / self.revoked["file"]).read_bytes(), self.trust, time.time())

    def peers(self):
        return (path.read_bytes() for folder in self.config["directory"] for path in (self.path / folder).glob("*.cbor"))

    def tls(self):
        context = ssl.create_default_context(cafile=self.path / self.config["serverCa"])
        with tempfile.NamedTemporaryFile() as file:  # leaf and intermediates have to be in one file
            file.write(b"".join(certificate.public_bytes(Encoding.PEM) for certificate in self.chain))
            file.flush()
            context.load_cert_chain(file.name, self.path / "identity.key")
        return context


class Seen:
    """What was handled, on disk: a message comes again after a crash, and must not be handled again."""

    def __init__(self, folder):
        state = folder.path / folder.config.get("state", "state")
        state.mkdir(exist_ok=True)
        self.db = sqlite3.connect(state / "python-seen.sqlite", isolation_level=None)  # commits, with fsync, each time
        self.db.execute("CREATE TABLE IF NOT EXISTS seen (place TEXT PRIMARY KEY, until REAL)")
        self.db.execute("DELETE FROM seen WHERE until < ?", (time.time(),))

    def has(self, place):
        return self.db.execute("SELECT 1 FROM seen WHERE place = ?", (place,)).fetchone() is not None

    def add(self, place, until_s):
        self.db.execute("INSERT OR IGNORE INTO seen VALUES (?, ?)", (place, until_s))
