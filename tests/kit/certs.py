"""Certificates of our own, as files, for tests that speak TLS on loopback.

Not here: anything that reads them.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@dataclass(frozen=True, slots=True)
class Pair:
    """The files, named as certbot names them."""

    cert: Path
    key: Path


def make_pair(folder: Path, name: str, begin: datetime.datetime | None = None, days: int = 30) -> Pair:
    """A certificate that signs itself, for this name and all below it, and its key. Files that are there go."""
    folder.mkdir(exist_ok=True)
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    begin = begin or datetime.datetime.now(datetime.UTC) - datetime.timedelta(hours=1)
    names = x509.SubjectAlternativeName([x509.DNSName(name), x509.DNSName(f"*.{name}")])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(begin + datetime.timedelta(days=days))
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    )
    pair = Pair(folder / "fullchain.pem", folder / "privkey.pem")
    pair.cert.write_bytes(builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    form, plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    pair.key.write_bytes(key.private_bytes(serialization.Encoding.PEM, form, plain))
    return pair
