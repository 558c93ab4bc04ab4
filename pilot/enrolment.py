"""From a one-time secret to a token, and from each token to the next, so that what lies on the node is soon worth nothing."""

from __future__ import annotations

import base64
import json
import secrets
import ssl
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from concurrent.futures import CancelledError
from concurrent.futures import TimeoutError as NotInTime
from dataclasses import dataclass, field, replace
from typing import Any, Callable
from urllib.parse import urlsplit

from pilot import VERSION
from pilot.command import Pilot
from pilot.wire.envelope import Refused
from pilot.wire.login import Login, NotRenewed
from pilot.wire.outbox import backoff
from schemas.rules.identity import pilot_account
from schemas.rules.secrets import remember

ASKS = ("token.renew.v1",)

_ANSWER_S = 30
_LARGEST_ANSWER_BYTES = 65536
_RENEWED_AT = 2 / 3  # of a token's life
_SHORTEST_LIFE_S = 30.0


class NotLetIn(Exception):
    """The door says no; one sentence says why."""


class DoorAway(Exception):
    """The door does not answer; it may later."""


@dataclass(frozen=True)
class Enrolled:
    """Who this pilot is, and where, as the services have it."""

    pilot_id: str
    token: str
    site: str
    ce: str
    vo: str
    tags: tuple[str, ...]
    least_version: str
    configuration: Mapping[str, Any] = field(default_factory=dict)


def enrol(door: str, secret: str, ca_file: str, patience_s: float) -> Enrolled:
    """The secret is used up. Raises NotLetIn, or DoorAway when nobody has answered within the patience."""
    # drawn once: by it the door tells a lost answer from a second use of the secret
    body = {"secret": secret, "key": secrets.token_urlsafe(32), "version": VERSION}
    until = time.monotonic() + patience_s
    attempt = 0
    while (told := _unless_away(f"{door}/enrol", body, ca_file, last=time.monotonic() > until)) is None:
        time.sleep(0.1 + backoff(attempt, cap_s=10.0))
        attempt += 1
    try:
        named = {name: str(told[name]) for name in ("pilot_id", "token", "site", "ce", "vo", "least_version")}
        further = told.get("configuration", {})
        return Enrolled(tags=tuple(map(str, told["tags"])), configuration=further, **named)
    except (KeyError, TypeError) as problem:
        raise NotLetIn(f"the door's answer is not understood: {problem}") from problem


def _unless_away(url: str, body: dict[str, Any], ca_file: str, *, last: bool) -> dict[str, Any] | None:
    try:
        return _post(url, body, ca_file)
    except DoorAway:
        if last:
            raise
        return None


class Passport:
    """The pilot's token as it is now; safe to be asked by any thread."""

    def __init__(self, login: Login, token: str, door: str) -> None:
        self._door = door
        self._lock = threading.Lock()
        self._login = login
        self._life_s = 0.0
        self._taken = 0.0
        self.take(token)

    def take(self, token: str) -> Login:
        """This token is used from now on."""
        remember(token)
        with self._lock:
            self._login = replace(self._login, password=token)
            self._life_s, self._taken = _life_s(token), time.monotonic()
            return self._login

    def renewal_due_s(self) -> float:
        """Seconds until the next token should be asked for."""
        return self._taken + self._life_s * _RENEWED_AT - time.monotonic()

    def login(self) -> Login:
        """What to log in with; a token that has ended is first renewed at the door. Raises NotRenewed when that is away."""
        if time.monotonic() > self._taken + self._life_s and self._door:
            try:
                return self.take(str(_post(f"{self._door}/renew", {"token": self._login.password}, self._login.ca_file)["token"]))
            except DoorAway as problem:
                raise NotRenewed(f"the token has ended, and no new one is to be had: {problem}") from problem
            except (NotLetIn, KeyError):
                pass  # the broker will say what is wrong
        return self._login

    def keep(self, pilot: Pilot, renewed: Callable[[Login], None]) -> Callable[[], None]:
        """The token is renewed in the background, until the function given back is called; a refusal ends the pilot at once."""
        over = threading.Event()
        threading.Thread(target=self._keep, args=(pilot, renewed, over), name="token", daemon=True).start()
        return over.set

    def _keep(self, pilot: Pilot, renewed: Callable[[Login], None], over: threading.Event) -> None:
        while not over.wait(max(1.0, self.renewal_due_s())):
            future = pilot.ask("token.renew.v1", {"pilot_id": pilot.pilot_id}, _ANSWER_S)
            try:
                renewed(self.take(future.result(timeout=self._life_s)["token"]))
            except Refused as refusal:
                if refusal.code == "denied":
                    pilot.orders.end(f"refused: {refusal.reason}")
                    return
            except (NotInTime, CancelledError):
                future.cancel()


def passport(login: Login, enrolled: Enrolled, door: str) -> Passport:
    """The passport of a pilot that has just enrolled."""
    return Passport(replace(login, user=pilot_account(enrolled.pilot_id)), enrolled.token, door)


def _life_s(token: str) -> float:
    """How long the token is meant to live: by its own claims, because the node's clock may be wrong."""
    try:
        body = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
        return max(_SHORTEST_LIFE_S, float(claims["exp"]) - float(claims["iat"]))
    except (IndexError, ValueError, KeyError, TypeError):
        return float("inf")  # a password, which does not end


def _post(url: str, body: dict[str, Any], ca_file: str) -> dict[str, Any]:
    if urlsplit(url).scheme != "https":
        raise NotLetIn("the door's address wants https://")
    context = ssl.create_default_context(cafile=ca_file or None)
    opener = urllib.request.build_opener(urllib.request.HTTPSHandler(context=context), _NoRedirect())
    request = urllib.request.Request(  # noqa: S310 - https, just checked
        url, data=json.dumps(body).encode(), headers={"Content-Type": "application/json"}, method="POST"
    )
    try:
        with opener.open(request, timeout=_ANSWER_S) as answer:
            found = json.loads(answer.read(_LARGEST_ANSWER_BYTES))
    except urllib.error.HTTPError as problem:
        with problem:
            said = _reason(problem)
        raise (DoorAway if problem.code >= 500 or problem.code == 429 else NotLetIn)(said) from problem
    except ssl.SSLCertVerificationError as problem:
        raise NotLetIn(f"the door's certificate is not vouched for: {problem.verify_message}") from problem
    except (OSError, ValueError) as problem:
        reason = getattr(problem, "reason", problem)
        if isinstance(reason, ssl.SSLCertVerificationError):
            raise NotLetIn(f"the door's certificate is not vouched for: {reason.verify_message}") from problem
        raise DoorAway(f"the door at {urlsplit(url).netloc} does not answer: {reason}") from problem
    if not isinstance(found, dict):
        raise NotLetIn("the door's answer is not understood")
    return found


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A secret is for one door; whoever sends us elsewhere is not asked there."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


def _reason(answer: urllib.error.HTTPError) -> str:
    try:
        return str(json.loads(answer.read(10_000))["reason"])[:500]
    except (ValueError, KeyError, TypeError, OSError):
        return f"the door answered {answer.code}"
