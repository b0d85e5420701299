"""Certificate authorities for tests; an untrusted, expired or wrong certificate is one more call."""

from __future__ import annotations

import datetime as dt
import ipaddress
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tests.harness.folders import copy_for
from tests.harness.process import run

_DAY = dt.timedelta(days=1)


@dataclass(frozen=True)
class Certificate:
    """The PEM files of a certificate, its private key (0600) and the authority that signed it."""

    cert: Path
    key: Path
    ca: Path

    def install(self, owner: tuple[int, int] | None, folder: Path) -> None:
        """Copy them to where a database that runs as ``owner`` reads them."""
        for file, name in ((self.cert, "server.crt"), (self.key, "server.key"), (self.ca, "ca.crt")):
            copy_for(owner, file, folder / name)


class Authority:
    """A certificate authority whose files are in ``folder``; ``ca`` is its certificate."""

    def __init__(self, folder: Path, name: str = "Canary Test CA") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._issued = 0
        self.ca = folder / f"{name.replace(' ', '-').lower()}.pem"
        self.ca.write_bytes(self._self_signed().public_bytes(serialization.Encoding.PEM))

    def issue(
        self,
        names: Sequence[str],
        *,
        not_before: dt.datetime | None = None,
        not_after: dt.datetime | None = None,
        owner: tuple[int, int] | None = None,
        common_name: str | None = None,
        weak: bool = False,
    ) -> Certificate:
        """A certificate for DNS names and IP addresses, for servers and clients alike.

        Valid from yesterday for 30 days by default; for an expired one give ``not_after`` (timezone-aware).
        ``owner`` (uid, gid) gets the private key. ``common_name`` (the first name by default) is the user
        name when PostgreSQL asks for a client certificate. A ``weak`` one is signed with SHA-1.
        """
        now = dt.datetime.now(dt.UTC)
        end = not_after or now + 30 * _DAY
        start = not_before or min(now, end) - _DAY
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name or names[0])])
        builder = self._builder(subject, key.public_key(), start, end)
        usage = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        builder = (
            builder.add_extension(x509.SubjectAlternativeName([_name(name) for name in names]), False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage(usage), critical=False)
        )
        issued = self._save(builder.sign(self._key, hashes.SHA256()), key, owner)
        if weak:
            self._sign_with_sha1(issued)
        return issued

    def _sign_with_sha1(self, issued: Certificate) -> None:
        key, request = self.folder / "authority.key", self.folder / "request.pem"
        key.write_bytes(_pem(self._key))
        extensions = ["-copy_extensions", "copyall"]
        asking = ["-x509toreq", "-in", str(issued.cert), "-signkey", str(issued.key), "-out", str(request)]
        signing = [
            "-req",
            "-in",
            str(request),
            "-CA",
            str(self.ca),
            "-CAkey",
            str(key),
            "-sha1",
            "-days",
            "30",
        ]
        run(["openssl", "x509", *asking, *extensions])
        run(["openssl", "x509", *signing, "-out", str(issued.cert), *extensions])
        key.unlink()

    def _self_signed(self) -> x509.Certificate:
        now = dt.datetime.now(dt.UTC)
        # Older than any certificate it may issue, an expired one included.
        builder = self._builder(self.name, self._key.public_key(), now - 3650 * _DAY, now + 365 * _DAY)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        builder = builder.add_extension(_ca_usage(), critical=True)
        return builder.sign(self._key, hashes.SHA256())

    def _builder(
        self, subject: x509.Name, key: ec.EllipticCurvePublicKey, start: dt.datetime, end: dt.datetime
    ) -> x509.CertificateBuilder:
        issuer = self._key.public_key()
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(start)
            .not_valid_after(end)
            # Python 3.13's VERIFY_X509_STRICT asks for both: RFC 5280 4.2.1.1.
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer), critical=False)
        )

    def _save(
        self, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey, owner: tuple[int, int] | None
    ) -> Certificate:
        self._issued += 1
        stem = f"{self.ca.stem}-{self._issued}"
        cert_file, key_file = self.folder / f"{stem}.crt", self.folder / f"{stem}.key"
        cert_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        with os.fdopen(os.open(key_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(_pem(key))
        if owner is not None:
            os.chown(key_file, *owner)
        return Certificate(cert_file, key_file, self.ca)


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _ca_usage() -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=True,
        crl_sign=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
