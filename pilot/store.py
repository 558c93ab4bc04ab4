"""Sandboxes over HTTPS, with a signed and expiring URL that a service grants for each."""

from __future__ import annotations

import hashlib
import http.client
import json
import ssl
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, Callable, TypeVar
from urllib.parse import urlsplit

from pilot.command import Job, Pilot
from pilot.sandbox import BadSandbox, Packed
from pilot.wire.envelope import Refused
from pilot.wire.outbox import backoff

ASKS = ("sandbox.grant.v1",)
_ATTEMPTS = 4
_FINAL = {404, 409, 413, 507}
_ANSWER_S = 300
_SOCKET_S = 60
_Result = TypeVar("_Result")


class _NotYet(Exception):
    """It may go well the next time."""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A signed URL is for one place; whoever sends us elsewhere is not asked there."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


def fetch(pilot: Pilot, job: Job, target: Path) -> None:
    """The job's input sandbox is at target, with the digest that was promised. Raises BadSandbox."""
    wanted = job.input or {}
    request = {
        "operation": "get",
        "which": "input",
        "digest": wanted["digest"],
        **job.label,
        "pilot_id": pilot.pilot_id,
    }

    def once() -> None:
        grant = _grant(pilot, job, request)
        _download(_open(pilot, "GET", grant), target, wanted["digest"], pilot.config.sandbox_limit_mb << 20)

    _again_and_again(once)


def store(pilot: Pilot, job: Job, packed: Packed) -> None:
    """The job's output sandbox is in the store. Raises BadSandbox."""
    what = {"digest": packed.digest, "size_bytes": packed.size_bytes}
    request = {"operation": "put", "which": "output", **what, **job.label, "pilot_id": pilot.pilot_id}

    def once() -> None:
        grant = _grant(pilot, job, request)
        with packed.path.open("rb") as body:
            _open(pilot, "PUT", grant, body, packed.size_bytes).close()

    _again_and_again(once)


def _again_and_again(once: Callable[[], _Result]) -> _Result:
    """The result of the first time that goes well; a new grant each time, because the old one may have expired."""
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            return once()
        except _NotYet as problem:
            if attempt == _ATTEMPTS:
                raise BadSandbox(str(problem)) from problem
        except (OSError, http.client.HTTPException) as problem:
            if attempt == _ATTEMPTS:
                raise BadSandbox(f"the sandbox store can not be reached: {problem}") from problem
        time.sleep(0.2 + backoff(attempt, first_s=1.0))
    raise AssertionError("the last attempt returns or raises")


def _grant(pilot: Pilot, job: Job, request: dict[str, Any]) -> dict[str, Any]:
    try:
        grant = pilot.answer("sandbox.grant.v1", request, _ANSWER_S, lambda: pilot.unwanted(job) != "")
    except Refused as refusal:
        if refusal.code == "unavailable":
            raise _NotYet(refusal.reason) from refusal
        raise BadSandbox(refusal.reason) from refusal
    if grant is None:
        raise BadSandbox(f"no service granted the sandbox within {_ANSWER_S} s")
    return grant


def _open(pilot: Pilot, method: str, grant: dict[str, Any], body: Any = None, size: int = 0) -> Any:
    if urlsplit(grant["url"]).scheme != "https":
        raise BadSandbox("the granted URL is not https")
    context = ssl.create_default_context(cafile=pilot.config.ca_file or None)
    opener = urllib.request.build_opener(urllib.request.HTTPSHandler(context=context), _NoRedirect())
    own = {"Content-Length": str(size), "Content-Type": "application/gzip"} if body else {}
    headers = {**own, **grant.get("headers", {})}
    request = urllib.request.Request(grant["url"], data=body, headers=headers, method=method)  # noqa: S310 - https, just checked
    try:
        return opener.open(request, timeout=_SOCKET_S)
    except urllib.error.HTTPError as answer:
        with answer:
            said = _reason(answer)
        raise (BadSandbox if answer.code in _FINAL else _NotYet)(said) from answer


def _reason(answer: urllib.error.HTTPError) -> str:
    try:
        return str(json.loads(answer.read(10_000))["reason"])
    except (ValueError, KeyError, TypeError, OSError):
        return f"the sandbox store answered {answer.code} {answer.reason}"


def _download(answer: Any, target: Path, digest: str, limit_bytes: int) -> None:
    found, size = hashlib.sha256(), 0
    with answer, target.open("wb") as file:
        while piece := answer.read(1 << 16):
            size += len(piece)
            if size > limit_bytes:
                raise BadSandbox(f"it is larger than {limit_bytes >> 20} MB")
            found.update(piece)
            file.write(piece)
    if found.hexdigest() != digest:
        raise _NotYet("its bytes do not have the digest that was promised")
