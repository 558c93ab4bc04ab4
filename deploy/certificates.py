"""The certificate authority of a stack on this machine: who vouches for its servers, its services and its people."""

from __future__ import annotations

import datetime as dt
import ipaddress
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from deploy.process import StackError, write_private

_VALID = dt.timedelta(days=30)
_RENEWED_BEFORE_END = dt.timedelta(days=2)
_CLOCK_SKEW = dt.timedelta(hours=1)
_SERVES = "localhost"


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and its key, files in PEM."""

    certificate: Path
    key: Path


@dataclass(frozen=True, slots=True)
class Certificates:
    """What clients trust (authority), what servers show, and the folder of authorities and CRLs named by OpenSSL's hash."""

    directory: Path
    authority: Path
    server: Path
    server_key: Path
    trusted: Path

    def of(self, account: str) -> Pair:
        """The account's certificate, by which it logs in without a password; made when there is none, or it is about to end."""
        folder = self.directory / "accounts"  # of their own: an account may be called ca, or server
        folder.mkdir(exist_ok=True)
        pair = Pair(folder / f"{account}.pem", folder / f"{account}.key")
        if not _is_fresh(self.authority, pair):
            issue(self, account, pair)
        return pair


def ensure(directory: Path) -> Certificates:
    """The authority, its CRL and the servers' certificate exist and are valid for two more days at least."""
    directory.mkdir(parents=True, exist_ok=True)
    files = Certificates(
        directory, directory / "ca.pem", directory / "server.pem", directory / "server.key", directory / "trusted"
    )
    if not _is_fresh(files.authority, Pair(files.authority, directory / "ca.key")):
        _found(files)
    server = Pair(files.server, files.server_key)
    if not _is_fresh(files.authority, server):
        issue(files, _SERVES, server, serves=True)
    revoke(files)
    return files


def issue(
    files: Certificates,
    name: str,
    pair: Pair,
    *,
    serves: bool = False,
    begins: dt.timedelta = -_CLOCK_SKEW,
    valid: dt.timedelta = _VALID,
) -> None:
    """The pair is in place, vouched for by this stack's authority, for a server or for an account that logs in."""
    authority = x509.load_pem_x509_certificate(files.authority.read_bytes())
    signer = _load(files.directory / "ca.key")
    key = ec.generate_private_key(ec.SECP256R1())
    usage = ExtendedKeyUsageOID.SERVER_AUTH if serves else ExtendedKeyUsageOID.CLIENT_AUTH
    builder = (
        _builder(_named(name), authority.subject, key, signer, begins, valid)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
    )
    if serves:
        reached_as: list[x509.GeneralName] = [x509.DNSName(name)]
        reached_as += [x509.IPAddress(ipaddress.ip_address(address)) for address in ("127.0.0.1", "::1")]
        builder = builder.add_extension(x509.SubjectAlternativeName(reached_as), critical=False)
    write_private(pair.key, _key_text(key))
    write_private(pair.certificate, _pem(builder.sign(signer, hashes.SHA256())))


def revoke(files: Certificates, *certificates: Path) -> None:
    """The CRL is fresh and names these certificates beside those it named before."""
    authority = x509.load_pem_x509_certificate(files.authority.read_bytes())
    own = files.directory / "crl.pem"
    now = dt.datetime.now(dt.UTC)
    builder = x509.CertificateRevocationListBuilder().issuer_name(authority.subject).last_update(now - _CLOCK_SKEW)
    builder = builder.next_update(now + _VALID)
    if own.exists():
        for known in x509.load_pem_x509_crl(own.read_bytes()):
            builder = builder.add_revoked_certificate(known)
    for path in certificates:
        serial = x509.load_pem_x509_certificate(path.read_bytes()).serial_number
        entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(now)
        builder = builder.add_revoked_certificate(entry.build())
    signed = builder.sign(_load(files.directory / "ca.key"), hashes.SHA256())
    write_private(own, signed.public_bytes(serialization.Encoding.PEM).decode())
    files.trusted.mkdir(exist_ok=True)
    name = _hash(files.authority)
    shutil.copyfile(files.authority, files.trusted / f"{name}.0")
    shutil.copyfile(own, files.trusted / f"{name}.r0")


def _found(files: Certificates) -> None:
    """A new authority; what the old one vouched for is gone with it."""
    for path in [*files.directory.rglob("*.pem"), *files.directory.rglob("*.key"), *files.directory.glob("trusted/*")]:
        path.unlink()
    key = ec.generate_private_key(ec.SECP256R1())
    name = _named("pilotbus local stack")
    authority = (
        _builder(name, name, key, key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
        .sign(key, hashes.SHA256())
    )
    write_private(files.directory / "ca.key", _key_text(key))
    write_private(files.authority, _pem(authority))


def _is_fresh(authority: Path, pair: Pair) -> bool:
    try:
        issuer, found = (x509.load_pem_x509_certificate(path.read_bytes()) for path in (authority, pair.certificate))
        found.verify_directly_issued_by(issuer)
        if _load(pair.key).public_key() != found.public_key():
            return False
    except Exception:  # missing, torn or mismatched files all mean the same: issue them again
        return False
    return found.not_valid_after_utc - dt.datetime.now(dt.UTC) > _RENEWED_BEFORE_END


def _hash(certificate: Path) -> str:
    """The name under which OpenSSL and Erlang look for this authority in a folder."""
    program = shutil.which("openssl")
    if program is None:
        raise StackError("The program openssl is not in PATH; `make setup` installs it.")
    command = [program, "x509", "-noout", "-subject_hash", "-in", str(certificate)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _load(path: Path) -> ec.EllipticCurvePrivateKey:
    key = serialization.load_pem_private_key(path.read_bytes(), None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise StackError(f"{path} is not a key of this stack.")
    return key


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    issuer_key: ec.EllipticCurvePrivateKey,
    begins: dt.timedelta = -_CLOCK_SKEW,
    valid: dt.timedelta = _VALID,
) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + begins)
        .not_valid_after(now + valid)
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


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _key_text(key: ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()).decode()
