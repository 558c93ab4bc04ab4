"""The issuer: mints the tokens that the broker believes, and publishes the keys by which they are checked.

A key is a file `<kid>.pem` in a folder of its own; the newest signs, all are published. What the broker has not seen it
fetches from the door, so a key is changed without a restart of anything.
"""

from __future__ import annotations

import itertools
import json
import os
import secrets
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

from schemas.rules.identity import pilot_account

BROKER = "pilotbus"  # the broker's resource server id: the first word of its scopes, and the audience of its tokens
PAYLOAD = "pilotbus-job"
ALGORITHM = "ES256"
PILOT_S, PERSON_S, JOB_S, MANAGEMENT_S = 900, 6 * 3600, 1800, 120
CLOCK_SKEW_S = 60
_SHORTEST_KID = 8


class BadToken(Exception):
    """Not a token of ours, or not any more; one sentence says why."""


@dataclass(frozen=True, slots=True)
class Token:
    """A token and the moment at which it ends; the text is never printed."""

    text: str
    expires_at: str
    valid_s: int

    def __repr__(self) -> str:
        return f"Token(until {self.expires_at})"


class Issuer:
    """Mints and checks; stateless but for the keys in its folder."""

    def __init__(self, folder: str | Path, name: str, vhost: str) -> None:
        self._folder, self.name = Path(folder), name
        self._vhost = quote(vhost, safe="")
        self._keys: dict[str, ec.EllipticCurvePrivateKey] = {}
        self._read_at = -1

    def pilot(self, pilot_id: str) -> Token:
        """May write what a pilot writes, in its own name, and read the direct replies to it."""
        account = pilot_account(pilot_id)
        scopes = [self._may("write", exchange, f"{account}.*") for exchange in ("ingress", "telemetry", "requests")]
        return self._mint(account, BROKER, PILOT_S, scope=scopes)

    def person(self, account: str, *, operates: bool, vos: Sequence[str] = (), seconds: int = PERSON_S) -> Token:
        """May write what a person writes, follow the own events, those of the named communities, and, as operator, all."""
        queue = f"subscription.{account}.*"
        scopes = [self._may("write", exchange, f"{account}.*") for exchange in ("ingress", "requests")]
        scopes += [self._may(right, queue) for right in ("configure", "write", "read")]
        keys = ["*"] if operates else [f"of.{account}.*", *(f"in.{vo}.*" for vo in vos)]
        scopes += [self._may("read", "events", key) for key in keys]
        return self._mint(account, BROKER, min(seconds, PERSON_S), scope=scopes)

    def management(self) -> Token:
        """May close connections and look after users by the broker's HTTP API, for two minutes."""
        scope = [f"{BROKER}.tag:administrator", f"{BROKER}.read:*/*"]
        return self._mint("pilotbus-management", BROKER, MANAGEMENT_S, scope=scope)

    def job(self, pilot_id: str, job_id: int, attempt: int, owner: str, group: str, vo: str) -> Token:
        """Says whose job this is, to whoever trusts this issuer; the broker does not let it in."""
        named = {"job_id": job_id, "attempt": attempt, "owner": owner, "owner_group": group, "vo": vo, "pilot_id": pilot_id}
        return self._mint(f"job-{job_id}-{attempt}", PAYLOAD, JOB_S, **named, **{"wlcg.ver": "1.0"})

    def verify(self, token: str, audience: str, *, ended_s: int = 0) -> dict[str, Any]:
        """The claims of a token of ours for this audience that holds now, or ended so recently. Raises BadToken."""
        try:
            kid = str(jwt.get_unverified_header(token).get("kid", ""))
            key = self._current().get(kid)
            if key is None:
                raise BadToken("the token is signed with a key that is not ours")
            wanted: Any = {"require": ["exp", "iat", "nbf", "sub", "jti", "aud", "iss"]}
            public = key.public_key()
            return dict(
                jwt.decode(token, public, [ALGORITHM], wanted, audience=audience, issuer=self.name, leeway=CLOCK_SKEW_S + ended_s)
            )
        except (jwt.PyJWTError, UnicodeError) as problem:
            raise BadToken(f"the token does not hold: {problem}") from problem

    def jwks(self) -> dict[str, Any]:
        """The public keys as RFC 7517 has them."""
        keys = []
        for kid, key in self._current().items():
            public = json.loads(ECAlgorithm.to_jwk(key.public_key()))
            keys.append({**public, "kid": kid, "use": "sig", "alg": ALGORITHM})
        return {"keys": keys}

    def public_files(self, folder: Path) -> dict[str, Path]:
        """The public keys as PEM files in the folder, by kid: what a broker reads before it can ask the door."""
        folder.mkdir(parents=True, exist_ok=True)
        found = {}
        for kid, key in self._current().items():
            form = serialization.PublicFormat.SubjectPublicKeyInfo
            found[kid] = folder / f"{kid}.pub.pem"
            found[kid].write_bytes(key.public_key().public_bytes(serialization.Encoding.PEM, form))
        return found

    def rotate(self, *, drop_old: bool = False) -> str:
        """A new key signs from now on. Old ones are published until what they signed has ended, or not at all any more."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        kid = f"{datetime.now(UTC):%Y%m%dT%H%M%S%f}-{secrets.token_hex(4)}"
        text = ec.generate_private_key(ec.SECP256R1()).private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        fresh = self._folder / f".{kid}"
        handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(text)
        fresh.rename(self._folder / f"{kid}.pem")
        for older, newer in itertools.pairwise(sorted(self._folder.glob("*.pem"))):
            # a key has signed until the next one came
            if drop_old or time.time() - newer.stat().st_mtime > PERSON_S + CLOCK_SKEW_S:
                older.unlink()
        return kid

    def _current(self) -> dict[str, ec.EllipticCurvePrivateKey]:
        if not self._keys and not any(self._folder.glob("*.pem")):
            self.rotate()
        changed_at = self._folder.stat().st_mtime_ns
        if changed_at != self._read_at:
            self._keys = {path.stem: _key(path) for path in sorted(self._folder.glob("*.pem"))}
            self._read_at = changed_at
        return self._keys

    def _mint(self, subject: str, audience: str, seconds: int, **claims: Any) -> Token:
        kid, key = list(self._current().items())[-1]
        now = int(time.time())
        standard = {"iss": self.name, "sub": subject, "aud": audience, "iat": now, "nbf": now, "exp": now + seconds}
        text = jwt.encode({**standard, "jti": str(uuid.uuid4()), **claims}, key, ALGORITHM, headers={"kid": kid})
        ends = datetime.fromtimestamp(now + seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return Token(text, ends, seconds)

    def _may(self, right: str, name: str, key: str = "") -> str:
        return f"{BROKER}.{right}:{self._vhost}/{name}{'/' + key if key else ''}"


def _key(path: Path) -> ec.EllipticCurvePrivateKey:
    key = serialization.load_pem_private_key(path.read_bytes(), None)
    if not isinstance(key, ec.EllipticCurvePrivateKey) or len(path.stem) < _SHORTEST_KID:
        raise BadToken(f"{path} is not a key of this issuer")
    return key
