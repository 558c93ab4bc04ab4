"""A store in a directory of this machine: it signs its own addresses and answers them over HTTPS."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import hashlib
import hmac
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlencode

import structlog
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from bus.errors import Later
from handlers.file.store._contract import LIMIT_BYTES, Grant, is_digest, judge, moment
from schemas import Invalid

log = structlog.get_logger()

STORE_LIMIT_BYTES = 10 << 30
_UNFINISHED = ".put-"
_PIECE_BYTES = 1 << 16
_ABANDONED_S = 3600
_STALLED_S = 60
_FULL = {errno.ENOSPC, errno.EDQUOT}


class LocalStore:
    """The sandboxes of one directory, and the room that is left for more."""

    KIND = "local"

    def __init__(
        self,
        directory: str | Path,
        public_url: str,
        secret: str,
        limit_bytes: int = LIMIT_BYTES,
        store_limit_bytes: int = STORE_LIMIT_BYTES,
    ) -> None:
        if not secret:
            raise Invalid("the sandbox store has no secret (PILOTBUS_SANDBOX_SECRET), so anybody could sign for it")
        self._directory, self._url, self._secret = Path(directory), public_url.rstrip("/"), secret.encode()
        self._limit_bytes, self._store_limit_bytes = limit_bytes, store_limit_bytes
        self._lock = threading.Lock()
        self._reserved_bytes = 0
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._stored_bytes = self._scan()

    def _scan(self) -> int:
        """How much is stored; what a crash left unfinished is gone."""
        found = 0
        for path in self._directory.iterdir():
            with contextlib.suppress(FileNotFoundError):
                state = path.stat()
                if is_digest(path.name):
                    found += state.st_size
                # a young one may be another process's, and still grow
                elif path.name.startswith(_UNFINISHED) and state.st_mtime < time.time() - _ABANDONED_S:
                    path.unlink()
        return found

    def grant(self, operation: str, digest: str, size_bytes: int | None, seconds: int) -> Grant:
        """An address of this store that holds for so many seconds. Raises Invalid."""
        method = judge(operation, digest)
        expires = int(time.time()) + seconds
        size = str(size_bytes) if size_bytes is not None and operation == "put" else ""
        query = {"expires": str(expires)} | ({"size": size} if size else {})
        query["signature"] = self._signature(method, digest, size, str(expires))
        return Grant(f"{self._url}/sandbox/{digest}?{urlencode(query)}", {}, moment(expires))

    def _signature(self, method: str, digest: str, size: str, expires: str) -> str:
        return hmac.new(self._secret, f"{method}\n{digest}\n{size}\n{expires}".encode(), hashlib.sha256).hexdigest()

    def size_of(self, digest: str) -> int | None:
        """How large the sandbox is, or None when it is not here."""
        try:
            return (self._directory / digest).stat().st_size if is_digest(digest) else None
        except FileNotFoundError:
            return None

    def pieces(self, digest: str) -> Iterator[bytes]:
        """The bytes of a sandbox that is here. Raises Later when it is not."""
        try:
            with (self._directory / digest).open("rb") as file:
                while piece := file.read(_PIECE_BYTES):
                    yield piece
        except FileNotFoundError as problem:
            raise Later(f"there is no sandbox {digest} any more") from problem

    def remove(self, digest: str) -> None:
        """The sandbox is not here, and its room is free."""
        with self._lock:
            size = self.size_of(digest)
            if size is not None:
                (self._directory / digest).unlink(missing_ok=True)
                self._stored_bytes -= size

    def app(self) -> Starlette:
        """What answers /sandbox/<digest>; every refusal is JSON with one sentence."""
        routes = [Route("/sandbox/{digest}", self._answer, methods=["GET", "PUT"])]
        return Starlette(routes=routes, exception_handlers={HTTPException: _refuse, Exception: _refuse})

    async def _answer(self, request: Request) -> Response:
        digest = self._admit(request)
        try:
            if request.method == "PUT":
                return await self._put(request, digest)
            state = await asyncio.to_thread((self._directory / digest).stat)
            return FileResponse(self._directory / digest, media_type="application/gzip", stat_result=state)
        except ClientDisconnect:
            return Response(status_code=400)  # nobody is there to read more
        except asyncio.CancelledError:
            raise HTTPException(503, "the sandbox store stops; try again") from None  # the task ends with it
        except TimeoutError:
            raise HTTPException(408, f"nothing came for {_STALLED_S} s") from None
        except FileNotFoundError:
            raise HTTPException(404, f"there is no sandbox {digest}") from None
        except OSError as problem:
            if problem.errno in _FULL:
                raise HTTPException(507, "the disk of the sandbox store is full") from problem
            raise HTTPException(500, f"the sandbox store failed: {problem.strerror}") from problem

    def _admit(self, request: Request) -> str:
        digest = request.path_params["digest"]
        if not is_digest(digest):
            raise HTTPException(404, "there is no such sandbox")
        given = request.query_params
        size, expires = given.get("size", ""), given.get("expires", "")
        wanted = self._signature(request.method, digest, size, expires)
        # as bytes: compare_digest raises for letters beyond ASCII
        if not hmac.compare_digest(wanted.encode(), given.get("signature", "").encode()):
            raise HTTPException(403, "the signature of this address is wrong")
        if int(expires) <= time.time():
            raise HTTPException(403, f"this address expired at {moment(int(expires))}")
        return str(digest)

    async def _put(self, request: Request, digest: str) -> Response:
        size = self._judged_size(request)
        if self.size_of(digest) is not None:
            return JSONResponse({"digest": digest, "size_bytes": size})
        with self._reserved(size):
            await self._receive(request, digest, size)
        log.info("sandbox.stored", digest=digest, size_bytes=size)
        return JSONResponse({"digest": digest, "size_bytes": size}, 201)

    def _judged_size(self, request: Request) -> int:
        length, granted = request.headers.get("content-length", ""), request.query_params.get("size", "")
        if not (length.isascii() and length.isdigit()):
            raise HTTPException(411, "a sandbox is put with its Content-Length")
        if max(int(length), int(granted or 0)) > self._limit_bytes:
            raise HTTPException(413, f"the sandbox is larger than {self._limit_bytes} bytes, the most this store takes of one")
        if granted and granted != length:
            raise HTTPException(409, f"{length} bytes came, but {granted} were granted")
        return int(length)

    @contextlib.contextmanager
    def _reserved(self, size: int) -> Iterator[None]:
        with self._lock:
            if self._stored_bytes + self._reserved_bytes + size > self._store_limit_bytes:
                raise HTTPException(507, f"the sandbox store is full: it keeps {self._store_limit_bytes} bytes at most")
            self._reserved_bytes += size
        try:
            yield
        finally:
            with self._lock:
                self._reserved_bytes -= size

    async def _receive(self, request: Request, digest: str, size: int) -> None:
        descriptor, name = tempfile.mkstemp(prefix=_UNFINISHED, dir=self._directory)
        try:
            with os.fdopen(descriptor, "wb", buffering=0) as file:
                await _write(request, file, digest, size)
                await asyncio.to_thread(os.fsync, descriptor)
            await asyncio.to_thread(self._publish, Path(name), digest, size)
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name)  # noqa: PTH108 - one system call, and nothing to wait for

    def _publish(self, unfinished: Path, digest: str, size: int) -> None:
        with self._lock:
            known = self.size_of(digest) is not None
            unfinished.rename(self._directory / digest)
            self._stored_bytes += 0 if known else size
        descriptor = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


async def _write(request: Request, file: BinaryIO, digest: str, size: int) -> None:
    found, left, pieces = hashlib.sha256(), size, request.stream()
    while True:
        async with asyncio.timeout(_STALLED_S):
            piece = await anext(pieces, b"")
        if not piece:
            break
        left -= len(piece)
        if left < 0:
            break
        found.update(piece)
        view = memoryview(piece)
        while view:
            view = view[file.write(view) :]  # a disk that is nearly full takes a part
    if left != 0:
        raise HTTPException(409, f"the body is not {size} bytes long")
    if found.hexdigest() != digest:
        raise HTTPException(409, f"the SHA-256 of the body is {found.hexdigest()}, not {digest}")


def _refuse(request: Request, problem: Exception) -> Response:
    if not isinstance(problem, HTTPException):
        log.error("sandbox.failed", method=request.method, exc_info=problem)
        return JSONResponse({"reason": "the sandbox store failed"}, 500)
    status, reason = problem.status_code, problem.detail
    # never the address: its signature lets in whoever reads it
    log.warning("sandbox.refused", method=request.method, status=status, reason=reason)
    return JSONResponse({"reason": reason}, status)
