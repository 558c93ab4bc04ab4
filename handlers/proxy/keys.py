"""Keys and certificate requests: what a delegation begins with."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

RSA_BITS = 2048
PARSING = (
    *(ValueError, TypeError, OverflowError, UnsupportedAlgorithm),
    *(x509.DuplicateExtension, x509.InvalidVersion, x509.UnsupportedGeneralNameType),
)

Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey
T = TypeVar("T")


class Unacceptable(Exception):
    """What was given is no proxy that can be taken; one sentence says why."""


def new_key() -> Key:
    """A private key for a proxy: RSA, which every program that reads proxies knows."""
    return rsa.generate_private_key(65537, RSA_BITS)


def key_pem(key: Key) -> bytes:
    """The key in the form that OpenSSL calls traditional, the only one that old programs find in a proxy file."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )


def read_key(pem: bytes, password: bytes | None = None) -> Key:
    """The private key in a PEM text. Raises Unacceptable, and never says anything of the key itself."""
    try:
        key = serialization.load_pem_private_key(pem, password)
    except TypeError as problem:
        raise Unacceptable("the key needs its password" if password is None else "the key has no password") from problem
    except (ValueError, UnsupportedAlgorithm) as problem:
        raise Unacceptable("the key can not be read, or its password is wrong") from problem
    if not isinstance(key, Key):
        raise Unacceptable("the key is neither RSA nor EC")
    return key


def request_of(key: Key) -> str:
    """The certificate request by which the key's owner asks for a proxy, in PEM."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "delegation")])
    signed = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    return signed.public_bytes(serialization.Encoding.PEM).decode()


def read_request(pem: str) -> PublicKey:
    """The public key of a request whose sender has shown that it holds the other half. Raises Unacceptable."""
    found = parsed("the certificate request", lambda: x509.load_pem_x509_csr(pem.encode()))
    if not parsed("the certificate request", lambda: found.is_signature_valid):
        raise Unacceptable("the certificate request is not signed by its own key")
    return usable(parsed("the certificate request", found.public_key))


def parsed(what: str, parse: Callable[[], T]) -> T:
    """What the parser gives. Raises Unacceptable, in one sentence, for whatever it may raise."""
    try:
        return parse()
    except PARSING as problem:
        raise Unacceptable(f"{what} can not be read as PEM") from problem


def usable(key: object) -> PublicKey:
    """The key, if it is one that programs of the grid know. Raises Unacceptable."""
    if isinstance(key, rsa.RSAPublicKey) and key.key_size < RSA_BITS:
        raise Unacceptable(f"an RSA key of {key.key_size} bits is too short; it needs {RSA_BITS}")
    if not isinstance(key, PublicKey):
        raise Unacceptable("the key is neither RSA nor EC")
    return key
