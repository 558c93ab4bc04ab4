"""The issuer: its tokens hold for what they are for, as long as they are meant to, under keys that can be changed."""

from __future__ import annotations

import os
import stat
import time
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from handlers.token.issuer import ALGORITHM, BROKER, PERSON_S, BadToken, Issuer
from tests.attacks.rows import attack


@pytest.fixture
def issuer(tmp_path: Path) -> Issuer:
    """A fresh one."""
    return Issuer(tmp_path / "issuer", "https://door.example.org", "a vhost")


def test_a_scope_names_one_exchange_and_the_own_keys(issuer: Issuer) -> None:
    scope = issuer.verify(issuer.pilot("p1").text, BROKER)["scope"]
    assert scope == [f"pilotbus.write:a%20vhost/{exchange}/pilot-p1.*" for exchange in ("ingress", "telemetry", "requests")]


def test_a_token_fits_into_the_brokers_first_frame(issuer: Issuer) -> None:
    assert len(issuer.person("a" * 60, operates=False, vos=["v" * 60] * 8).text) < 4000


def forged(issuer: Issuer, **changes: Any) -> str:
    """The pilot's token with other claims, signed with the issuer's own key: what only it could make."""
    kid, key = list(issuer._current().items())[-1]
    claims = jwt.decode(issuer.pilot("p1").text, options={"verify_signature": False}) | changes
    return jwt.encode({name: value for name, value in claims.items() if value is not None}, key, ALGORITHM, {"kid": kid})


@attack("nobody", "shows a token that has ended, or is for others")
@pytest.mark.parametrize(
    "changes",
    [
        {"exp": int(time.time()) - 120},
        {"nbf": int(time.time()) + 86_400},  # as seen from when tests are collected
        {"exp": None},
        {"jti": None},
        {"aud": "somebody"},
        {"iss": "https://door.example.com"},
    ],
)
def test_what_has_ended_or_is_for_others_does_not_hold(issuer: Issuer, changes: dict[str, Any]) -> None:
    with pytest.raises(BadToken):
        issuer.verify(forged(issuer, **changes), BROKER)


@attack("nobody", "shows a token with a foreign key, or a path as its kid")
@pytest.mark.parametrize("kid", ["", "../../etc/passwd", "unknown", "\x00"])
def test_a_key_that_is_not_ours_does_not_sign(issuer: Issuer, kid: str) -> None:
    claims = jwt.decode(issuer.pilot("p1").text, options={"verify_signature": False})
    with pytest.raises(BadToken):
        issuer.verify(jwt.encode(claims, ec.generate_private_key(ec.SECP256R1()), ALGORITHM, {"kid": kid}), BROKER)


@attack("nobody", "shows what is no token, up to 100 KB of it")
@pytest.mark.parametrize("token", ["", "a.b.c", "e30.e30.", "x" * 100_000, "\ud800"])
def test_what_is_no_token_is_refused(issuer: Issuer, token: str) -> None:
    with pytest.raises(BadToken):
        issuer.verify(token, BROKER)


@attack("nobody", "shows a token signed by none, or with HS256")
def test_no_algorithm_but_ours(issuer: Issuer) -> None:
    claims = jwt.decode(issuer.pilot("p1").text, options={"verify_signature": False})
    kid = next(iter(issuer._current()))
    for text in (jwt.encode(claims, "", "none", {"kid": kid}), jwt.encode(claims, "k" * 32, "HS256", {"kid": kid})):
        with pytest.raises(BadToken):
            issuer.verify(text, BROKER)


def test_a_new_key_signs_and_the_old_one_still_holds(issuer: Issuer) -> None:
    old = issuer.pilot("p1").text
    kid = issuer.rotate()
    new = issuer.pilot("p1").text
    assert jwt.get_unverified_header(new)["kid"] == kid
    assert issuer.verify(old, BROKER)["sub"] == issuer.verify(new, BROKER)["sub"] == "pilot-p1"
    assert [key["kid"] for key in issuer.jwks()["keys"]][-1] == kid
    assert all("d" not in key for key in issuer.jwks()["keys"])


def test_a_key_that_has_leaked_can_be_dropped_at_once(issuer: Issuer) -> None:
    old = issuer.pilot("p1").text
    issuer.rotate(drop_old=True)
    with pytest.raises(BadToken):
        issuer.verify(old, BROKER)


def test_a_key_is_dropped_when_all_that_it_signed_has_ended(issuer: Issuer, tmp_path: Path) -> None:
    first, second = issuer.rotate(), issuer.rotate()
    long_ago_s = time.time() - PERSON_S - 3600
    os.utime(tmp_path / "issuer" / f"{second}.pem", (long_ago_s, long_ago_s))
    third = issuer.rotate()
    left = {path.stem for path in (tmp_path / "issuer").glob("*.pem")}
    assert first not in left
    assert {second, third} <= left


def test_keys_are_private_and_tokens_are_never_printed(issuer: Issuer, tmp_path: Path) -> None:
    token = issuer.pilot("p1")
    assert token.text not in repr(token)
    assert {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "issuer").glob("*.pem")} == {0o600}
