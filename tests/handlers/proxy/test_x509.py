"""x509: what is signed here verifies there, and what is no proxy is told so."""

from __future__ import annotations

import base64
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from handlers.proxy.authorities import Authorities, NotReady
from handlers.proxy.keys import Unacceptable, new_key, read_key, read_request, request_of
from handlers.proxy.x509 import (
    INHERIT_ALL,
    LIMITED,
    PROXY_CERT_INFO,
    chain_pem,
    end_entity,
    moment,
    proxy_pem,
    read_chain,
    sign_proxy,
)
from tests.handlers.grid import ADA, KEYS, Grid, Holder, below, dn, signed

KEY = KEYS["ec"]()
HOUR = timedelta(hours=1)
SOMEBODY = Holder([signed(dn(ADA), None, KEY, [], 1)], KEY)
PROXY = SOMEBODY.proxy()
SIGNATURE = x509.KeyUsage(True, *(False,) * 8)


@pytest.fixture(scope="module")
def grid(tmp_path_factory: pytest.TempPathFactory) -> Grid:
    return Grid(tmp_path_factory.mktemp("trusted"))


@pytest.fixture(scope="module")
def authorities(grid: Grid) -> Authorities:
    return Authorities(str(grid.folder))


def info(language: x509.ObjectIdentifier = INHERIT_ALL, path_length: int | None = None) -> tuple[x509.ExtensionType, bool]:
    """ProxyCertInfo, written letter by letter: not with what is tested here."""
    body = b"" if path_length is None else bytes([2, 1, path_length])
    oid = language.dotted_string.split(".")
    numbers = bytearray([int(oid[0]) * 40 + int(oid[1])])
    for number in map(int, oid[2:]):
        digits = [number & 127]
        while number := number >> 7:
            digits.append(number & 127 | 128)
        numbers += bytes(reversed(digits))
    policy = bytes([6, len(numbers)]) + bytes(numbers)
    body += bytes([0x30, len(policy)]) + policy
    return x509.UnrecognizedExtension(PROXY_CERT_INFO, bytes([0x30, len(body)]) + body), True


def handmade(holder: Holder, language: x509.ObjectIdentifier = INHERIT_ALL, path_length: int | None = None) -> Holder:
    return holder.made(below(holder, "4711"), [info(language, path_length), (SIGNATURE, True)])


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    kinds=st.lists(st.sampled_from(["rsa", "ec"]), min_size=1, max_size=4), limits=st.lists(st.booleans(), min_size=4, max_size=4)
)
def test_openssl_agrees_with_every_chain_that_is_signed_here(
    grid: Grid, authorities: Authorities, kinds: list[str], limits: list[bool]
) -> None:
    holder = grid.person(kind=kinds[0])
    for kind, limited in zip(kinds, limits, strict=False):
        holder = holder.proxy(kind=kind, limited=limited)
    chain = read_chain(chain_pem(holder.chain))
    authorities.judge(chain)
    found = end_entity(chain)
    assert (found.dn, found.depth, found.room) == (ADA, len(kinds), None)
    assert found.limited == any(limits[: len(kinds)])
    assert found.spellings == (ADA, "/DC=org/DC=toy/OU=People/CN=Ada Lovelace")


@pytest.mark.parametrize("kind", ["rsa", "ec"])
def test_an_authority_of_either_kind_of_key_is_served(tmp_path: Path, kind: str) -> None:
    grid = Grid(tmp_path / "trusted", kind)
    holder = grid.person().proxy().proxy(limited=True)
    Authorities(str(grid.folder)).judge(holder.chain)
    assert holder.chain[0].subject.rdns[:-2] == dn(ADA).rdns


def test_what_follows_a_limited_proxy_is_limited(grid: Grid) -> None:
    assert end_entity(grid.person().proxy(limited=True).proxy(limited=False).chain).limited
    assert end_entity(handmade(grid.person(), LIMITED).chain).limited
    assert not end_entity(grid.person().proxy().chain).limited


def test_a_proxy_ends_no_later_than_any_of_its_chain(grid: Grid) -> None:
    person = grid.person(hours=2)
    assert end_entity(person.proxy(hours=12).chain).not_after == person.chain[0].not_valid_after_utc
    short = person.proxy(hours=1)
    assert short.proxy(hours=12).chain[0].not_valid_after_utc == short.chain[0].not_valid_after_utc
    assert moment(short.proxy(hours=0.5).chain[0].not_valid_after_utc) < moment(short.chain[0].not_valid_after_utc)


def test_a_path_length_is_respected_however_far_up_it_stands(grid: Grid, authorities: Authorities) -> None:
    first = handmade(grid.person(), path_length=2)
    second = first.proxy()
    third = second.proxy()
    assert [end_entity(holder.chain).room for holder in (first, second, third)] == [2, 1, 0]
    authorities.judge(third.chain)
    with pytest.raises(Unacceptable, match="path length"):
        third.proxy()
    too_deep = handmade(third)
    with pytest.raises(Unacceptable, match="more proxies"):
        end_entity(too_deep.chain)
    with pytest.raises(Unacceptable, match="not trusted"):
        authorities.judge(too_deep.chain)


def test_legacy_proxies_are_refused_with_a_sentence(grid: Grid) -> None:
    for name in ("proxy", "limited proxy"):
        person = grid.person()
        with pytest.raises(Unacceptable, match="legacy Globus proxy"):
            end_entity(person.made(below(person, name), []).chain)
    draft = (x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.3536.1.222"), b"\x30\x00"), True)
    person = grid.person()
    with pytest.raises(Unacceptable, match="before RFC 3820"):
        end_entity(person.made(below(person, "1"), [draft]).chain)


def test_policies_that_are_not_known_are_refused(grid: Grid) -> None:
    with pytest.raises(Unacceptable, match=r"1\.3\.6\.1\.5\.5\.7\.21\.2"):
        end_entity(handmade(grid.person(), x509.ObjectIdentifier("1.3.6.1.5.5.7.21.2")).chain)
    person = grid.person()
    nonsense = x509.UnrecognizedExtension(PROXY_CERT_INFO, b"\x30\x01")
    with pytest.raises(Unacceptable, match="says of itself"):
        end_entity(person.made(below(person, "1"), [(nonsense, True)]).chain)


def test_a_chain_that_does_not_hang_together_is_refused(grid: Grid, authorities: Authorities) -> None:
    ada, eve = grid.person(), grid.person("CN=Eve,DC=toy,DC=org")
    proxy = ada.proxy()
    for chain, why in [
        ([], "empty"),
        (proxy.chain[:1], "ends before"),
        ([proxy.chain[0], *eve.chain], "issuer's name"),
        ([proxy.chain[0], *grid.person().chain], "not signed by"),
        (handmade(grid.authority).chain, "by an authority"),
        ([*proxy.chain, *eve.chain], "no authority"),
        ([*proxy.chain, *ada.proxy().chain], "no authority"),
        (ada.made(dn("CN=Eve"), [info(), (SIGNATURE, True)]).chain, "issuer's name"),
    ]:
        with pytest.raises(Unacceptable, match=why):
            end_entity(chain)
    authorities.judge([*proxy.chain, *grid.authority.chain])
    assert end_entity([*proxy.chain, *grid.authority.chain]).dn == ADA


def test_a_limited_proxy_can_not_hide_behind_a_twin_of_its_signer(grid: Grid) -> None:
    limited = grid.person().proxy(limited=True)
    full = handmade(limited)
    stranger = Holder([signed(dn(ADA), None, limited.key, [], 1)], KEYS["ec"]())
    twin = signed(limited.chain[0].subject, stranger, limited.key, [info(), (SIGNATURE, True)], 1)
    for chain in ([full.chain[0], twin, *stranger.chain, *limited.chain], [full.chain[0], twin, *limited.chain]):
        with pytest.raises(Unacceptable):
            end_entity(chain)


def test_who_is_not_vouched_for_is_not_trusted(grid: Grid, authorities: Authorities, tmp_path: Path) -> None:
    foreign = Grid(tmp_path / "foreign")
    for holder, why in [
        (foreign.person().proxy(), "certificate"),
        (Holder([signed(dn(ADA), None, (key := KEYS["ec"]()), [], 1)], key).proxy(), "self.signed"),
        (handmade(grid.authority), "CA"),
    ]:
        with pytest.raises(Unacceptable, match=f"not trusted: .*{why}"):
            authorities.judge(holder.chain)
    expired = grid.person(hours=-1, began_h=9)
    with pytest.raises(Unacceptable, match="has expired"):
        expired.proxy()
    with pytest.raises(Unacceptable, match="expired"):
        authorities.judge(handmade(expired).chain)


def test_revoked_certificates_are_refused_and_lists_that_are_missing_too(tmp_path: Path) -> None:
    grid = Grid(tmp_path / "trusted")
    strict, lenient = Authorities(str(grid.folder)), Authorities(str(grid.folder), crls_required=False)
    good, bad = grid.person().proxy(), grid.person()
    grid.revoke(bad)
    for judge in (strict, lenient):
        judge.judge(good.chain)
        with pytest.raises(Unacceptable, match="revoked"):
            judge.judge(bad.proxy().chain)
    grid.forget_lists()
    with pytest.raises(Unacceptable, match="CRL"):
        strict.judge(good.chain)
    lenient.judge(good.chain)


def test_without_authorities_nothing_is_judged(tmp_path: Path, grid: Grid, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(grid.folder)
    for folder in (str(tmp_path), str(tmp_path / "nowhere"), ""):
        with pytest.raises(NotReady, match="PILOTBUS_USER_CA_DIR"):
            Authorities(folder).judge(grid.person().chain)


def test_a_variable_of_openssl_changes_nothing(tmp_path: Path, grid: Grid, monkeypatch: pytest.MonkeyPatch) -> None:
    foreign = Grid(tmp_path / "foreign")
    monkeypatch.setenv("SSL_CERT_DIR", str(foreign.folder))
    with pytest.raises(Unacceptable, match="not trusted"):
        Authorities(str(grid.folder)).judge(foreign.person().proxy().chain)


@pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning")
@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_nothing_that_is_sent_as_a_chain_breaks_the_reader(data: st.DataObject) -> None:
    holder = PROXY
    der = bytearray(holder.chain[0].public_bytes(Encoding.DER))
    for _ in range(data.draw(st.integers(0, 3))):
        der[data.draw(st.integers(0, 400))] = data.draw(st.integers(0, 255))
    pem = f"-----BEGIN CERTIFICATE-----\n{base64.encodebytes(bytes(der)).decode()}-----END CERTIFICATE-----\n"
    text = data.draw(st.sampled_from([pem + chain_pem(holder.chain[1:]), pem, pem[:300]])) + data.draw(st.text(max_size=5))
    try:
        end_entity(read_chain(text))
    except Unacceptable as problem:
        assert str(problem)


def test_a_request_shows_that_its_sender_has_the_key() -> None:
    key = new_key()
    asked = request_of(key)
    assert read_request(asked) == key.public_key()
    for spoilt in ("", "x", asked.replace("M", "N", 1), request_of(KEYS["ec"]())[:200]):
        with pytest.raises(Unacceptable, match="request"):
            read_request(spoilt)


def test_a_proxy_file_holds_the_proxy_its_key_and_its_chain(grid: Grid) -> None:
    holder = grid.person().proxy(kind="rsa")
    text = proxy_pem(holder.chain, holder.key)
    assert read_chain(text) == holder.chain
    assert read_key(text.encode()).public_key() == holder.key.public_key()
    assert text.index("BEGIN RSA PRIVATE KEY") < text.rindex("BEGIN CERTIFICATE")


def test_another_certificates_key_signs_nothing(grid: Grid) -> None:
    with pytest.raises(Unacceptable, match="key"):
        sign_proxy(grid.person().chain, KEYS["ec"](), KEYS["ec"]().public_key(), HOUR)
