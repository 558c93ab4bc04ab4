"""RFC 3820 proxies: read a chain, say whose it is, sign a proxy. Whether a chain is to be trusted is said by authorities.py."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat import asn1
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import ExtensionOID, NameOID

from handlers.proxy.keys import PARSING, Key, PublicKey, Unacceptable, key_pem, parsed, usable

INHERIT_ALL = x509.ObjectIdentifier("1.3.6.1.5.5.7.21.1")
LIMITED = x509.ObjectIdentifier("1.3.6.1.4.1.3536.1.1.1.9")
PROXY_CERT_INFO = x509.ObjectIdentifier("1.3.6.1.5.5.7.1.14")
_DRAFT_CERT_INFO = x509.ObjectIdentifier("1.3.6.1.4.1.3536.1.222")
_LEGACY_NAMES = {"proxy", "limited proxy"}
_LONGEST_CHAIN = 16
_LONGEST_NAME = 1000
_SKEW = timedelta(minutes=5)
_SHORT = {
    NameOID.COMMON_NAME: "CN",
    NameOID.COUNTRY_NAME: "C",
    NameOID.LOCALITY_NAME: "L",
    NameOID.STATE_OR_PROVINCE_NAME: "ST",
    NameOID.ORGANIZATION_NAME: "O",
    NameOID.ORGANIZATIONAL_UNIT_NAME: "OU",
    NameOID.DOMAIN_COMPONENT: "DC",
    NameOID.USER_ID: "UID",
    NameOID.EMAIL_ADDRESS: "emailAddress",
}

Chain = Sequence[x509.Certificate]


@asn1.sequence
class _Policy:
    language: x509.ObjectIdentifier
    policy: bytes | None


@asn1.sequence
class _ProxyCertInfo:
    path_length: int | None
    policy: _Policy


@dataclass(frozen=True, slots=True)
class EndEntity:
    """Whose chain it is, and what may be made of it."""

    dn: str
    spellings: tuple[str, ...]
    not_after: datetime
    limited: bool
    depth: int
    room: int | None  # how many more proxies may follow; None for any number


def read_chain(pem: str) -> list[x509.Certificate]:
    """The certificates of a PEM text, in its order. Raises Unacceptable."""
    found = parsed("the chain", lambda: x509.load_pem_x509_certificates(pem.encode()))
    if len(found) > _LONGEST_CHAIN:
        raise Unacceptable(f"the chain has {len(found)} certificates; at most {_LONGEST_CHAIN} are read")
    for certificate in found:  # extensions are parsed when first asked for, and any of them may be nonsense
        parsed("the chain", lambda certificate=certificate: (certificate.extensions, certificate.subject.rfc4514_string()))  # type: ignore[misc]
    return found


def chain_pem(chain: Chain) -> str:
    """The certificates in PEM, in this order."""
    return "".join(certificate.public_bytes(serialization.Encoding.PEM).decode() for certificate in chain)


def proxy_pem(chain: Chain, key: Key) -> str:
    """A proxy file as every grid program reads it: the proxy, its key, then who signed it."""
    return chain_pem(chain[:1]) + key_pem(key).decode() + chain_pem(chain[1:])


def fingerprint(certificate: x509.Certificate) -> str:
    """SHA-256 of the certificate, in hex."""
    return certificate.fingerprint(hashes.SHA256()).hex()


def moment(when: datetime) -> str:
    """RFC 3339 in UTC, to the second."""
    return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def same_key(certificate: x509.Certificate, key: Key) -> bool:
    """Whether the certificate is for this key."""
    return parsed("the chain", certificate.public_key) == key.public_key()


def end_entity(chain: Chain) -> EndEntity:
    """Whose chain it is: proxies from the newest on, each signed by the next, then the person's certificate, then authorities.

    This says nothing of trust: anybody can make such a chain. Raises Unacceptable.
    """
    if not chain:
        raise Unacceptable("the chain is empty")
    limited, room, depth = False, None, 0
    while depth < len(chain) and (info := _info(chain[depth])) is not None:
        limited = limited or info.policy.language == LIMITED
        if info.path_length is not None:
            left = info.path_length - depth
            room = left if room is None else min(room, left)
        _judge_link(chain[depth], chain[depth + 1] if depth + 1 < len(chain) else None)
        depth += 1
    person = chain[depth]
    _judge_person(person)
    for other in chain[depth + 1 :]:
        # a second person or proxy here could be taken for a link that was not looked at above
        if not _is_authority(other):
            raise Unacceptable(f"{other.subject.rfc4514_string()} follows the person's certificate and is no authority")
    if room is not None and room < 0:
        raise Unacceptable("the chain has more proxies than one of them allows")
    ends = min(certificate.not_valid_after_utc for certificate in chain[: depth + 1])
    return EndEntity(person.subject.rfc4514_string(), _spellings(person.subject), ends, limited, depth, room)


def sign_proxy(
    chain: Chain, key: Key, public_key: PublicKey, lifetime: timedelta, *, limited: bool = True
) -> list[x509.Certificate]:
    """A new proxy for the public key before the chain that signs it; what follows a limited proxy is limited.

    It ends with the lifetime or with the chain, whatever comes first. Raises Unacceptable.
    """
    issuer, who, now = chain[0], end_entity(chain), datetime.now(UTC).replace(microsecond=0)
    if not same_key(issuer, key):
        raise Unacceptable("the key is not that of the certificate")
    if who.room == 0:
        raise Unacceptable("no further proxy may be made of this one: its path length is used up")
    ends = min(now + lifetime, who.not_after)
    if ends <= now:
        raise Unacceptable(f"the certificate or proxy of {who.dn} has expired")
    if not _may_sign(issuer):
        raise Unacceptable("the certificate may not make signatures, so that no proxy can be made of it")
    serial = x509.random_serial_number()
    name = x509.Name(
        [*issuer.subject.rdns, x509.RelativeDistinguishedName([x509.NameAttribute(NameOID.COMMON_NAME, str(serial))])]
    )
    policy = _Policy(language=LIMITED if limited or who.limited else INHERIT_ALL, policy=None)
    info = asn1.encode_der(_ProxyCertInfo(path_length=None, policy=policy))
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer.subject)
        .public_key(public_key)
        .serial_number(serial)
        .not_valid_before(max(now - _SKEW, issuer.not_valid_before_utc))
        .not_valid_after(ends)
        .add_extension(x509.UnrecognizedExtension(PROXY_CERT_INFO, info), critical=True)
        .add_extension(_SIGNATURES_ONLY, critical=True)
        .sign(key, hashes.SHA256())
    )
    return [signed, *chain]


_SIGNATURES_ONLY = x509.KeyUsage(
    digital_signature=True,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=False,
    crl_sign=False,
    encipher_only=False,
    decipher_only=False,
)


def _extension(certificate: x509.Certificate, kind: x509.ObjectIdentifier) -> x509.ExtensionType | None:
    try:
        return certificate.extensions.get_extension_for_oid(kind).value
    except x509.ExtensionNotFound:
        return None


def _info(certificate: x509.Certificate) -> _ProxyCertInfo | None:
    """What an RFC 3820 proxy says of itself; None for what is no proxy. Raises Unacceptable for proxies of other kinds."""
    told = _extension(certificate, PROXY_CERT_INFO)
    if told is None:
        _judge_other_kinds(certificate)
        return None
    try:
        info = asn1.decode_der(_ProxyCertInfo, told.value if isinstance(told, x509.UnrecognizedExtension) else b"")
    except PARSING as problem:
        raise Unacceptable("what a proxy of the chain says of itself can not be read") from problem
    if info.policy.language not in (INHERIT_ALL, LIMITED):
        raise Unacceptable(f"a proxy of the chain has policy {info.policy.language.dotted_string}, which is not known here")
    return info


def _judge_other_kinds(certificate: x509.Certificate) -> None:
    names = [attribute.value for attribute in certificate.subject.rdns[-1]] if certificate.subject.rdns else []
    below = certificate.issuer.rdns == certificate.subject.rdns[:-1]
    if below and names and str(names[0]) in _LEGACY_NAMES:
        raise Unacceptable("the chain has a legacy Globus proxy (CN=proxy); make one by RFC 3820, such as `voms-proxy-init -rfc`")
    if _extension(certificate, _DRAFT_CERT_INFO) is not None:
        raise Unacceptable("the chain has a Globus proxy of the time before RFC 3820; make one with `voms-proxy-init -rfc`")


def _judge_link(proxy: x509.Certificate, issuer: x509.Certificate | None) -> None:
    """Raises Unacceptable unless the proxy is the issuer's, by signature and by name."""
    if issuer is None:
        raise Unacceptable("the chain ends before the person's certificate")
    added = proxy.subject.rdns[-1:]
    if proxy.subject.rdns[:-1] != issuer.subject.rdns or [a.oid for rdn in added for a in rdn] != [NameOID.COMMON_NAME]:
        raise Unacceptable("a proxy of the chain does not have its issuer's name with one CN more")
    try:
        proxy.verify_directly_issued_by(issuer)
    except (*PARSING, InvalidSignature) as problem:
        raise Unacceptable("a proxy of the chain is not signed by the certificate that follows it") from problem
    usable(parsed("the chain", proxy.public_key))
    if not _may_sign(issuer):
        raise Unacceptable("a certificate of the chain has signed a proxy and may not make signatures")


def _judge_person(person: x509.Certificate) -> None:
    if _is_authority(person):
        raise Unacceptable("the proxies of the chain are signed by an authority, not by a person's certificate")
    name = person.subject.rfc4514_string()
    if not name or len(name) > _LONGEST_NAME or not name.isprintable():
        raise Unacceptable("the person's certificate has no name, or one that can not be kept")


def _is_authority(certificate: x509.Certificate) -> bool:
    told = _extension(certificate, ExtensionOID.BASIC_CONSTRAINTS)
    return isinstance(told, x509.BasicConstraints) and told.ca and _extension(certificate, PROXY_CERT_INFO) is None


def _may_sign(certificate: x509.Certificate) -> bool:
    told = _extension(certificate, ExtensionOID.KEY_USAGE)
    return not isinstance(told, x509.KeyUsage) or told.digital_signature


def _spellings(name: x509.Name) -> tuple[str, ...]:
    """How registries write this DN: as RFC 4514 does, and with slashes, unless a value could be taken for more of the name."""
    plain = name.rfc4514_string()
    parts = [(_SHORT.get(a.oid, a.oid.dotted_string), str(a.value)) for rdn in name.rdns for a in rdn]
    if any(len(rdn) > 1 for rdn in name.rdns) or any(re.search(r"/[A-Za-z0-9.]+=", f"{value}") for _, value in parts):
        return (plain,)
    return (plain, "".join(f"/{short}={value}" for short, value in parts))
