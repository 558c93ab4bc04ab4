"""A sandbox on its way: sent to and fetched from a store by a granted address, tried again, checked by its hash."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit

import requests

from bus.sandbox import UNPACKED_LIMIT_BYTES, SandboxError, one_line

Progress = Callable[[int], None]  # called with the bytes that have gone so far

_PIECE_BYTES = 1 << 16
_TRIES = 3
_FIRST_WAIT_S = 0.3
_TIMEOUTS_S = (10, 60)
_NO_SUCH_RANGE = (400, 416)  # not all stores know the second


class _Counted:
    """A file that requests sends piece by piece, telling how far it is."""

    def __init__(self, file: BinaryIO, progress: Progress | None) -> None:
        self._file, self._progress = file, progress
        self._size_bytes = os.fstat(file.fileno()).st_size

    def __len__(self) -> int:
        return self._size_bytes

    def __iter__(self) -> Iterator[bytes]:
        while piece := self.read(_PIECE_BYTES):
            yield piece

    def read(self, size: int = -1) -> bytes:
        piece = self._file.read(size)
        if piece and self._progress is not None:
            self._progress(self._file.tell())
        return piece


def upload(
    grant_url: str, headers: Mapping[str, str], path: Path, ca_file: str | Path = "", progress: Progress | None = None
) -> None:
    """The archive is in the store. Raises SandboxError with the store's own reason when it was refused."""

    def once() -> None:
        with path.open("rb") as file:
            sent = {"Content-Type": "application/gzip", **headers}
            with _ask("PUT", grant_url, ca_file, headers=sent, data=_Counted(file, progress)):
                pass

    _again_and_again(once, grant_url)


def download(
    grant_url: str,
    path: Path,
    digest: str,
    ca_file: str | Path = "",
    progress: Progress | None = None,
    *,
    keep_part: bool = False,
) -> None:
    """The sandbox with this digest is at the path, whole. Raises SandboxError, and then the path is as it was.

    With keep_part, what came stays beside it in `<path>.part`, and the next time only the rest is fetched.
    """
    unfinished = path.with_name(path.name + ".part")

    def once() -> None:
        found, size = _known(unfinished) if keep_part else (hashlib.sha256(), 0)
        if not size or found.hexdigest() != digest:
            wanted = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={size}-"} if size else {})
            with _ask("GET", grant_url, ca_file, headers=wanted, beyond=unfinished) as answer:
                goes_on = answer.status_code == requests.codes.partial_content
                found = _take(answer, unfinished, found if goes_on else hashlib.sha256(), size if goes_on else 0, progress)
        if found.hexdigest() != digest:
            unfinished.unlink()
            wrong = f"the sandbox that came is not {digest}: its bytes were changed"
            raise (_NotYet if size else SandboxError)(wrong)  # it may be the part of before that was wrong
        unfinished.replace(path)

    try:
        _again_and_again(once, grant_url)
    finally:
        if not keep_part:
            unfinished.unlink(missing_ok=True)


def _known(unfinished: Path) -> tuple[hashlib._Hash, int]:
    """What has come already."""
    try:
        with unfinished.open("rb") as file:
            return hashlib.file_digest(file, "sha256"), file.tell()
    except FileNotFoundError:
        return hashlib.sha256(), 0


def _take(
    answer: requests.Response, unfinished: Path, found: hashlib._Hash, size: int, progress: Progress | None
) -> hashlib._Hash:
    """What comes is in the file, after what it has if that counts."""
    with unfinished.open("ab" if size else "wb") as file:
        for piece in answer.iter_content(_PIECE_BYTES):
            size += len(piece)
            if size > UNPACKED_LIMIT_BYTES:
                raise SandboxError(f"the sandbox is larger than {UNPACKED_LIMIT_BYTES} bytes")
            found.update(piece)
            file.write(piece)
            if progress is not None:
                progress(size)
    return found


class _NotYet(Exception):
    """It may go well the next time."""


@contextlib.contextmanager
def _ask(
    method: str,
    url: str,
    ca_file: str | Path,
    *,
    headers: Mapping[str, str],
    data: object = None,
    beyond: Path | None = None,
) -> Iterator[requests.Response]:
    # a .netrc would add a password, and break the signature; and an address is signed for one place
    own = {"auth": lambda asked: asked, "allow_redirects": False, "verify": str(ca_file) or True}
    answer = requests.request(method, url, headers=headers, data=data, stream=True, timeout=_TIMEOUTS_S, **own)  # type: ignore[arg-type]
    with answer:
        if answer.status_code in _NO_SUCH_RANGE and beyond is not None and "Range" in headers:
            beyond.unlink(missing_ok=True)  # it has as much as there is, or more, so it is of something else
            raise _NotYet(_reason(answer))
        if answer.status_code >= 300:
            passing = answer.status_code >= 500 and answer.status_code != 507
            raise (_NotYet if passing else SandboxError)(_reason(answer))
        yield answer


def _again_and_again(once: Callable[[], None], url: str) -> None:
    """It went well once. What requests says is left out: it holds the address, which lets in whoever reads it."""
    place = urlsplit(url).netloc
    for tried in range(1, _TRIES + 1):
        try:
            return once()
        except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError) as broken:
            if "CERTIFICATE_VERIFY_FAILED" in str(broken):
                raise SandboxError(f"the sandbox store at {place} shows a certificate that is not trusted here") from None
            problem = f"the sandbox store at {place} can not be reached, or broke off"
        except _NotYet as answered:
            problem = str(answered)
        except requests.RequestException as refused:
            raise SandboxError(f"the sandbox store's address can not be used ({type(refused).__name__})") from None
        if tried < _TRIES:
            time.sleep(_FIRST_WAIT_S * 2**tried)
    raise SandboxError(problem)


def _reason(answer: requests.Response) -> str:
    """The store's own sentence: our reason, or S3's message."""
    said = f"the sandbox store answered {answer.status_code} {answer.reason}"
    try:
        body = next(answer.iter_content(10_000), b"")
        if message := re.search(rb"<Message>([^<]+)</Message>", body):
            return one_line(f"{said}: {message[1].decode(errors='replace')}")
        return one_line(str(json.loads(body)["reason"]))
    except (OSError, ValueError, KeyError, TypeError):
        return said
