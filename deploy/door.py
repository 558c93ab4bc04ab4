"""The HTTPS door: where a pilot gives its enrolment secret for a token, a person a certificate, and the broker finds our keys.

A door knows nothing by itself: each thing asked here is asked on the bus, and secrets are hashed before they go there.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import threading
from collections.abc import Callable, Iterator
from hashlib import sha256
from json import JSONDecodeError
from typing import Any

import structlog
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from bus.apply import Words
from bus.client import Client
from bus.errors import Invalid, Refused, Unavailable, Unroutable
from bus.settings import Settings
from bus.standing import Rates
from handlers.proxy.authorities import Authorities, NotReady
from handlers.proxy.keys import Unacceptable
from handlers.proxy.x509 import end_entity, moment, read_chain
from handlers.token.issuer import BROKER, BadToken, Issuer
from schemas.rules.identity import pilot_of

log = structlog.get_logger()

Ask = Callable[[str, dict[str, Any]], Any]

LARGEST_BODY_BYTES = 4096
PER_PEER_S, PEER_BURST = 20, 500  # a site behind one address starts hundreds of pilots at once
ANSWER_WITHIN_S = 20.0
RENEWED_AFTER_S = 6 * 3600  # so long may the broker be away without a pilot having to leave
_SECRET = re.compile(r"pbs1\.([A-Za-z0-9_-]{1,64})\.[A-Za-z0-9_-]{43}")
_KEY = re.compile(r"[A-Za-z0-9_-]{16,128}")
_VERSION = re.compile(r"[0-9A-Za-z.+-]{0,32}")
_STATUS = {"invalid": 400, "denied": 403, "not_found": 404, "conflict": 409, "unavailable": 503}


class Asker:
    """One connection to the bus in the services' name, made anew when it is lost; for any number of threads."""

    def __init__(self, settings: Settings, words: Words) -> None:
        self._settings, self._words = settings, words
        self._lock = threading.Lock()
        self._client: Client | None = None

    def ask(self, kind: str, data: dict[str, Any]) -> Any:
        """The reply. Raises Refused, Unavailable."""
        with self._lock:
            try:
                if self._client is None:
                    self._client = Client(self._settings.amqp_url, self._settings.ca_file, component="door", words=self._words)
                    self._client.__enter__()
                return self._client.ask(kind, data, within_s=ANSWER_WITHIN_S)
            except Unavailable:
                self.close()
                raise

    def close(self) -> None:
        """Nothing is connected."""
        client, self._client = self._client, None
        if client is not None:
            with contextlib.suppress(Exception):
                client.__exit__(None, None, None)


class Door:
    """The routes, and who may use them how often."""

    def __init__(self, ask: Ask, issuer: Issuer, authorities: Authorities, rates: Rates | None = None) -> None:
        self._ask, self._issuer, self._authorities = ask, issuer, authorities
        self._rates = rates or Rates(PER_PEER_S, PEER_BURST)

    def routes(self) -> Iterator[Route]:
        """What is answered here."""
        yield Route("/enrol", self._enrol, methods=["POST"])
        yield Route("/boot", self._boot, methods=["POST"])
        yield Route("/login", self._login, methods=["POST"])
        yield Route("/renew", self._renew, methods=["POST"])
        yield Route("/.well-known/jwks.json", self._keys, methods=["GET"])
        yield Route("/.well-known/openid-configuration", self._about, methods=["GET"])

    async def _keys(self, _request: Request) -> Response:
        return JSONResponse(self._issuer.jwks(), headers={"Cache-Control": "max-age=300"})

    async def _about(self, _request: Request) -> Response:
        return JSONResponse({"issuer": self._issuer.name, "jwks_uri": f"{self._issuer.name}/.well-known/jwks.json"})

    async def _enrol(self, request: Request) -> Response:
        told = await self._body(request)
        secret, key = (str(told.get(name, "")) for name in ("secret", "key"))
        version = str(told.get("version", ""))
        found = _SECRET.fullmatch(secret)
        if not found or not _KEY.fullmatch(key) or not _VERSION.fullmatch(version):
            raise HTTPException(
                400, "an enrolment wants a secret of the form pbs1.PILOT.…, a key drawn for this use, and a version"
            )
        hashed = {"secret_sha256": _digest(secret), "use_sha256": _digest(key)}
        about = {"pilot_id": found[1], "peer": _peer(request), "version": version}
        return JSONResponse(await self._asked("pilot.enrol.v1", about | hashed), headers={"Cache-Control": "no-store"})

    async def _boot(self, request: Request) -> Response:
        """A wrapper's word, in any of the shells there are: what it does not know of itself it leaves out."""
        told = await self._body(request)
        about = {name: told[name] for name in ("pilot_id", "phase", "reason", "exit_code", "host", "system") if name in told}
        hashed = {"secret_sha256": told.get("proof", ""), "peer": _peer(request)}
        return JSONResponse(await self._asked("pilot.boot.v1", about | hashed))

    async def _login(self, request: Request) -> Response:
        self._within_rate(request)
        shown = "".join(request.scope.get("client_certificates", ()))
        if not shown:
            raise HTTPException(401, "to log in, show your certificate, or a proxy made from it")
        try:
            chain = read_chain(shown)
            person = end_entity(chain)
            # TLS has judged the chain, but knows no revocation list
            await asyncio.to_thread(self._authorities.judge, chain)
        except Unacceptable as problem:
            raise HTTPException(403, str(problem)) from problem
        except NotReady as problem:
            raise HTTPException(503, str(problem)) from problem
        told = {"dns": list(person.spellings), "limited": person.limited, "until": moment(person.not_after)}
        return JSONResponse(
            await self._asked("token.login.v1", told | {"peer": _peer(request)}), headers={"Cache-Control": "no-store"}
        )

    async def _renew(self, request: Request) -> Response:
        told = await self._body(request)
        try:
            claims = self._issuer.verify(str(told.get("token", "")), BROKER, ended_s=RENEWED_AFTER_S)
        except BadToken as problem:
            raise HTTPException(403, str(problem)) from problem
        pilot_id = pilot_of(claims["sub"])
        if pilot_id is None:
            raise HTTPException(403, "only a pilot renews its token here")
        return JSONResponse(await self._asked("token.renew.v1", {"pilot_id": pilot_id}), headers={"Cache-Control": "no-store"})

    def _within_rate(self, request: Request) -> None:
        if not self._rates.spend(_peer(request)):
            raise HTTPException(429, "too much is asked from this address; try again in a minute")

    async def _body(self, request: Request) -> dict[str, Any]:
        self._within_rate(request)
        raw = b""
        async for piece in request.stream():
            raw += piece
            if len(raw) > LARGEST_BODY_BYTES:
                raise HTTPException(413, f"more than {LARGEST_BODY_BYTES} bytes")
        try:
            told = json.loads(raw)
        except (JSONDecodeError, UnicodeDecodeError, RecursionError) as problem:
            raise HTTPException(400, "the body is not JSON") from problem
        if not isinstance(told, dict):
            raise HTTPException(400, "the body is not a JSON object")
        return told

    async def _asked(self, kind: str, data: dict[str, Any]) -> Any:
        try:
            return await asyncio.to_thread(self._ask, kind, data)
        except Refused as refusal:
            raise HTTPException(_STATUS.get(refusal.code, 500), refusal.reason) from refusal
        except Invalid as problem:
            raise HTTPException(400, str(problem)) from problem
        except (Unavailable, Unroutable) as problem:
            log.warning("door.unavailable", reason=str(problem))
            raise HTTPException(503, "the services do not answer; try again") from problem


def refuse(request: Request, problem: Exception) -> Response:
    """Every refusal of the door is JSON with one sentence."""
    if not isinstance(problem, HTTPException):
        log.error("door.failed", exc_info=problem)
        return JSONResponse({"reason": "the door failed"}, 500)
    log.warning("door.refused", path=request.url.path, status=problem.status_code, peer=_peer(request))
    return JSONResponse({"reason": problem.detail}, problem.status_code)


def _digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()


def _peer(request: Request) -> str:
    return request.client.host if request.client else "unknown"
