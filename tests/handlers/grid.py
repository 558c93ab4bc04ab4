"""A toy grid: an authority with its revocation list in OpenSSL's hashed form, people with certificates, and their proxies."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from handlers.proxy.hands import Hands, about_proxy
from handlers.proxy.keys import Key, read_request
from handlers.proxy.x509 import chain_pem, fingerprint, proxy_pem, sign_proxy

KEYS: dict[str, Callable[[], Key]] = {
    "rsa": lambda: rsa.generate_private_key(65537, 2048),
    "ec": lambda: ec.generate_private_key(ec.SECP256R1()),
}
ADA = "CN=Ada Lovelace,OU=People,DC=toy,DC=org"


@dataclass(frozen=True, slots=True)
class Holder:
    """A certificate or proxy with the chain above it, newest first, and its key."""

    chain: list[x509.Certificate]
    key: Key

    def proxy(self, hours: float = 12, *, limited: bool = False, kind: str = "ec") -> Holder:
        """A proxy signed by this one, as its owner's tools would."""
        key = KEYS[kind]()
        return Holder(sign_proxy(self.chain, self.key, key.public_key(), timedelta(hours=hours), limited=limited), key)

    def answer(self, csr_pem: str, hours: float = 12, *, limited: bool = False) -> str:
        """The chain by which the holder answers a certificate request."""
        return chain_pem(sign_proxy(self.chain, self.key, read_request(csr_pem), timedelta(hours=hours), limited=limited))

    def made(self, name: x509.Name, extensions: list[tuple[Any, bool]], hours: float = 1) -> Holder:
        """Any certificate signed by this one, also such as nobody should sign."""
        key = KEYS["ec"]()
        return Holder([signed(name, self, key, extensions, hours), *self.chain], key)


def dn(text: str) -> x509.Name:
    """A name in RFC 4514's spelling."""
    return x509.Name.from_rfc4514_string(text)


def below(holder: Holder, name: str) -> x509.Name:
    """The holder's name with one CN more."""
    added = x509.RelativeDistinguishedName([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    return x509.Name([*holder.chain[0].subject.rdns, added])


def signed(
    name: x509.Name, by: Holder | None, key: Key, extensions: list[tuple[Any, bool]], hours: float, began_h: float = 1
) -> x509.Certificate:
    """A certificate for the key; by itself when nobody else signs."""
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(by.chain[0].subject if by else name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=began_h))
        .not_valid_after(now + timedelta(hours=hours))
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical=critical)
    return builder.sign(by.key if by else key, hashes.SHA256())


def registered(db: psycopg.Connection[Any], account: str = "ada", *dns: str) -> None:
    """The registry knows the account under these names, ada's own when none is given."""
    db.execute("INSERT INTO registry.users (account, dns, described_at) VALUES (%s, %s, now())", (account, list(dns or (ADA,))))


def kept(db: psycopg.Connection[Any], hands: Hands, holder: Holder, account: str = "ada") -> str:
    """The account is registered and has deposited this proxy; its fingerprint."""
    registered(db, account)
    mark = fingerprint(holder.chain[0])
    sealed = hands.vault.seal(proxy_pem(holder.chain, holder.key).encode(), about_proxy(account, mark))
    ends = holder.chain[0].not_valid_after_utc
    db.execute("INSERT INTO proxy.proxies VALUES (%s, %s, %s, %s, %s, %s, now())", (account, ADA, ADA, sealed, mark, ends))
    return mark


class Grid:
    """One authority, trusted in a folder of its own."""

    def __init__(self, folder: Path, kind: str = "ec", name: str = "CN=Toy CA,DC=toy,DC=org") -> None:
        self.folder, self._kind = folder, kind
        folder.mkdir(exist_ok=True)
        key = KEYS[kind]()
        is_ca = [(x509.BasicConstraints(ca=True, path_length=None), True)]
        self.authority = Holder([signed(dn(name), None, key, is_ca, 1000, 1000)], key)
        self._file("0", self.authority.chain[0].public_bytes(Encoding.PEM))
        self.revoke()

    def person(self, name: str = ADA, hours: float = 240, kind: str = "", began_h: float = 1) -> Holder:
        """A person's certificate."""
        key = KEYS[kind or self._kind]()
        is_none = [(x509.BasicConstraints(ca=False, path_length=None), True)]
        return Holder([signed(dn(name), self.authority, key, is_none, hours, began_h)], key)

    def revoke(self, *holders: Holder) -> None:
        """The authority's list names these, and is fresh."""
        now = datetime.now(UTC)
        builder = x509.CertificateRevocationListBuilder().issuer_name(self.authority.chain[0].subject)
        builder = builder.last_update(now - timedelta(hours=1)).next_update(now + timedelta(days=1))
        for holder in holders:
            serial = holder.chain[0].serial_number
            one = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(now - timedelta(minutes=1)).build()
            builder = builder.add_revoked_certificate(one)
        self._file("r0", builder.sign(self.authority.key, hashes.SHA256()).public_bytes(Encoding.PEM))

    def forget_lists(self) -> None:
        """The folder has no revocation list."""
        for path in self.folder.glob("*.r0"):
            path.unlink()

    def _file(self, end: str, pem: bytes) -> None:
        given = self.authority.chain[0].public_bytes(Encoding.PEM)
        found = subprocess.run(["openssl", "x509", "-noout", "-subject_hash"], input=given, capture_output=True, check=True)
        (self.folder / f"{found.stdout.decode().strip()}.{end}").write_bytes(pem)
