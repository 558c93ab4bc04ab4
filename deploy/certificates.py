"""A throw-away certificate authority and the one server certificate of a stack on this machine."""

from __future__ import annotations

import datetime as dt
import ipaddress
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from deploy.process import write_private

_VALID = dt.timedelta(days=30)
_RENEWED_BEFORE_END = dt.timedelta(days=2)
_CLOCK_SKEW = dt.timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Certificates:
    """Files in PEM: what clients trust, and what servers show."""

    authority: Path
    server: Path
    server_key: Path


def ensure(directory: Path) -> Certificates:
    """The three files exist and are valid for two more days at least."""
    directory.mkdir(parents=True, exist_ok=True)
    files = Certificates(directory / "ca.pem", directory / "server.pem", directory / "server.key")
    if not _is_fresh(files):
        _issue(files)
    return files


def _is_fresh(files: Certificates) -> bool:
    try:
        authority, server = (x509.load_pem_x509_certificate(path.read_bytes()) for path in (files.authority, files.server))
        key = serialization.load_pem_private_key(files.server_key.read_bytes(), None)
        server.verify_directly_issued_by(authority)
    except Exception:  # missing, torn or mismatched files all mean the same: issue them again
        return False
    if key.public_key() != server.public_key():
        return False
    end = min(authority.not_valid_after_utc, server.not_valid_after_utc)
    return end - dt.datetime.now(dt.UTC) > _RENEWED_BEFORE_END


def _issue(files: Certificates) -> None:
    """New files are in place; the authority's key is never written down, so nobody can sign with it again."""
    authority_key, server_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    authority_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "pilotbus local stack")])
    authority = (
        _builder(authority_name, authority_name, authority_key, authority_key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
        .sign(authority_key, hashes.SHA256())
    )
    server_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    reached_as: list[x509.GeneralName] = [x509.DNSName("localhost")]
    reached_as += [x509.IPAddress(ipaddress.ip_address(address)) for address in ("127.0.0.1", "::1")]
    server = (
        _builder(server_name, authority_name, server_key, authority_key)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName(reached_as), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    write_private(files.server_key, _key_text(server_key))
    write_private(files.server, server.public_bytes(serialization.Encoding.PEM).decode())
    write_private(files.authority, authority.public_bytes(serialization.Encoding.PEM).decode())


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, issuer_key: ec.EllipticCurvePrivateKey
) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCK_SKEW)
        .not_valid_after(now + _VALID)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
    )


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _key_text(key: ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()).decode()
