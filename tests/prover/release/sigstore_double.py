"""A Sigstore instance on this machine: a certificate authority and a log that answer as Fulcio and Rekor do.

It stands for the network alone: what signs and what verifies is the sigstore package. Its trust root lies in the cache
where the package keeps the public instance's, and from where it reads it when it is offline.
"""

from __future__ import annotations

import base64
import hashlib
import json
import struct
import threading
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import jwt
import rfc8785
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

ISSUER = "https://issuer.example"
_SHA256 = hashes.SHA256()
_SCTS = x509.ObjectIdentifier("1.3.6.1.4.1.11129.2.4.2")
_FULCIO_ISSUER = x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.1")
_USES = ("digital_signature", "key_cert_sign", "crl_sign", "content_commitment", "key_encipherment")
_USES += ("data_encipherment", "key_agreement", "encipher_only", "decipher_only")


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def der(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def key_id(key: ec.EllipticCurvePrivateKey) -> bytes:
    return hashlib.sha256(der(key)).digest()


def use(*what: str) -> x509.KeyUsage:
    return x509.KeyUsage(**{name: name in what for name in _USES})


class Sigstore:
    """The instance: keys, a server, and what it was asked."""

    def __init__(self) -> None:
        self.authority, self.ct_log, self.log = (ec.generate_private_key(ec.SECP256R1()) for _ in range(3))
        self.start = datetime.now(timezone.utc).replace(microsecond=0) - timedelta(minutes=5)
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "authority")])
        root = self._certificate(self.authority.public_key(), self.name, timedelta(days=9))
        root = root.add_extension(x509.BasicConstraints(True, 0), True).add_extension(use("key_cert_sign"), True)
        own = x509.SubjectKeyIdentifier.from_public_key(self.authority.public_key())
        self.root = root.add_extension(own, False).sign(self.authority, _SHA256)
        self.refuse: set[str] = set()
        handler = type("Handler", (_Handler,), {"sigstore": self})
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def _certificate(self, key, subject: x509.Name, life: timedelta) -> x509.CertificateBuilder:
        builder = x509.CertificateBuilder(self.name, subject, key, x509.random_serial_number())
        return builder.not_valid_before(self.start).not_valid_after(self.start + life)

    def certificate_for(self, request: bytes, token: str) -> list[str]:
        """What Fulcio issues: ten minutes for the key in the request and the name in the token, logged."""
        claims = jwt.decode(token, options={"verify_signature": False})
        key = x509.load_pem_x509_csr(request).public_key()
        own = x509.SubjectKeyIdentifier.from_public_key(self.authority.public_key())
        leaf = self._certificate(key, x509.Name([]), timedelta(minutes=15))
        for extension, critical in (
            (x509.SubjectAlternativeName([x509.RFC822Name(claims["sub"])]), True),
            (use("digital_signature"), True),
            (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), False),
            (x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own), False),
            (x509.UnrecognizedExtension(_FULCIO_ISSUER, claims["iss"].encode()), False),
        ):
            leaf = leaf.add_extension(extension, critical)
        logged = leaf.sign(self.authority, _SHA256).tbs_certificate_bytes
        listed = x509.UnrecognizedExtension(_SCTS, self._timestamp(logged))
        certificate = leaf.add_extension(listed, False).sign(self.authority, _SHA256)
        return [one.public_bytes(Encoding.PEM).decode() for one in (certificate, self.root)]

    def _timestamp(self, logged: bytes) -> bytes:
        """RFC 6962, section 3.2 and 3.3: a list with one signed certificate timestamp, in an OCTET STRING."""
        when = int(self.start.timestamp() * 1000)
        entry = key_id(self.authority) + len(logged).to_bytes(3, "big") + logged
        signature = self.ct_log.sign(struct.pack("!BBQH", 0, 0, when, 1) + entry + b"\0\0", ec.ECDSA(_SHA256))
        one = struct.pack("!B32sQHBBH", 0, key_id(self.ct_log), when, 0, 4, 3, len(signature)) + signature
        data = struct.pack("!HH", len(one) + 2, len(one)) + one
        return bytes([4, len(data)] if len(data) < 128 else [4, 0x81, len(data)]) + data

    def entry_for(self, proposed: dict) -> dict:
        """What Rekor answers: the entry of a log that has no other, with a promise and a proof of inclusion."""
        content = proposed["spec"]["proposedContent"]
        envelope, (verifier,) = json.loads(content["envelope"]), content["verifiers"]
        (signature,) = envelope["signatures"]
        digests = (content["envelope"].encode(), base64.b64decode(envelope["payload"]))
        spec = {
            name: {"algorithm": "sha256", "value": hashlib.sha256(data).hexdigest()}
            for name, data in zip(("envelopeHash", "payloadHash"), digests, strict=True)
        }
        spec["signatures"] = [{"signature": signature["sig"], "verifier": verifier}]
        body = rfc8785.dumps({"apiVersion": "0.0.1", "kind": "dsse", "spec": spec})
        promised = {
            "body": b64(body),
            "integratedTime": int(datetime.now(timezone.utc).timestamp()),
            "logID": key_id(self.log).hex(),
            "logIndex": 0,
        }
        root = hashlib.sha256(b"\0" + body).digest()
        note = f"log.example - 1\n1\n{b64(root)}\n"
        signed = key_id(self.log)[:4] + self.log.sign(note.encode(), ec.ECDSA(_SHA256))
        proof = {
            "checkpoint": f"{note}\n\u2014 log.example {b64(signed)}\n",
            "hashes": [],
            "logIndex": 0,
            "rootHash": root.hex(),
            "treeSize": 1,
        }
        promise = b64(self.log.sign(rfc8785.dumps(promised), ec.ECDSA(_SHA256)))
        return {"0" * 64: promised | {"verification": {"inclusionProof": proof, "signedEntryTimestamp": promise}}}

    def install(self, cache: Path) -> None:
        """Write trust root and addresses where the package keeps those of the public instance."""
        folder = cache / "sigstore-python" / "tuf" / "https%3A%2F%2Ftuf-repo-cdn.sigstore.dev"
        folder.mkdir(parents=True)
        url = f"http://127.0.0.1:{self.server.server_port}"
        since = {"start": self.start.isoformat().replace("+00:00", "Z")}

        def log(key: ec.EllipticCurvePrivateKey) -> dict:
            public = {"rawBytes": b64(der(key)), "keyDetails": "PKIX_ECDSA_P256_SHA_256", "validFor": since}
            return {
                "baseUrl": url,
                "hashAlgorithm": "SHA2_256",
                "publicKey": public,
                "logId": {"keyId": b64(key_id(key))},
            }

        root = {
            "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
            "tlogs": [log(self.log)],
            "ctlogs": [log(self.ct_log)],
            "certificateAuthorities": [
                {
                    "subject": {"organization": "example", "commonName": "authority"},
                    "uri": url,
                    "certChain": {"certificates": [{"rawBytes": b64(self.root.public_bytes(Encoding.DER))}]},
                    "validFor": since,
                }
            ],
        }
        service = [{"url": url, "majorApiVersion": 1, "validFor": since, "operator": "example"}]
        config = {
            "mediaType": "application/vnd.dev.sigstore.signingconfig.v0.2+json",
            **dict.fromkeys(("caUrls", "oidcUrls", "rekorTlogUrls"), service),
            "rekorTlogConfig": {"selector": "ANY"},
            "tsaConfig": {"selector": "ANY"},
        }
        (folder / "trusted_root.json").write_text(json.dumps(root))
        (folder / "signing_config.v0.2.json").write_text(json.dumps(config))

    def token(self, who: str) -> str:
        """What an issuer gives to whoever signs."""
        now = datetime.now(timezone.utc)
        claims = {"aud": "sigstore", "iss": ISSUER, "sub": who, "iat": now, "exp": now + timedelta(minutes=10)}
        return jwt.encode(claims, "k" * 32, algorithm="HS256")


class _Handler(BaseHTTPRequestHandler):
    sigstore: Sigstore

    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path in self.sigstore.refuse:
            self.send_error(500)
            return
        if self.path == "/api/v2/signingCert":
            csr = base64.b64decode(request["certificateSigningRequest"])
            chain = self.sigstore.certificate_for(csr, self.headers["Authorization"].removeprefix("Bearer "))
            answer = {"signedCertificateEmbeddedSct": {"chain": {"certificates": chain}}}
        else:
            answer = self.sigstore.entry_for(request)
        data = json.dumps(answer).encode()
        self.send_response(201)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_arguments):
        pass
