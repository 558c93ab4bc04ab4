"""What a sandbox store promises; tests/handlers/file/test_every_store.py holds every module of this folder to it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol

from schemas import Invalid

LIMIT_BYTES = 10 << 20


@dataclass(frozen=True, slots=True)
class Grant:
    """A signed address, the headers to send with it, and until when it holds (RFC 3339)."""

    url: str = field(repr=False)  # whoever has it may use it
    headers: Mapping[str, str]
    expires_at: str


class Store(Protocol):
    """Keeps sandboxes by the SHA-256 of their bytes. Every call may be repeated, from any thread."""

    KIND: str

    # Asked before every transfer; nothing is kept of it, so it may be asked any number of times. "put" signs the size
    # when it is given. Raises Invalid for what is no digest, and for a size that the store could not refuse later.
    def grant(self, operation: str, digest: str, size_bytes: int | None, seconds: int) -> Grant: ...

    # Asked before a "get" is granted. None until the last byte is safe. Raises Later when the store can not be asked.
    def size_of(self, digest: str) -> int | None: ...

    # Asked when the house itself reads one. Raises Later when the store can not be asked, or has it no more.
    def pieces(self, digest: str) -> Iterator[bytes]: ...

    # Asked when no job needs it any more; one that is not there is fine.
    def remove(self, digest: str) -> None: ...


def judge(operation: str, digest: str) -> str:
    """The HTTP method of the operation. Raises Invalid unless it is "put" or "get" and the digest is one."""
    if operation not in {"put", "get"}:
        raise Invalid(f"a sandbox can be put and got, but not {operation!r}")
    if not is_digest(digest):
        raise Invalid(f"{digest!r} is no SHA-256 in lower-case hex")
    return operation.upper()


def is_digest(text: str) -> bool:
    """Whether this names a sandbox; nothing else ever reaches a path or a key."""
    return re.fullmatch(r"[0-9a-f]{64}", text) is not None


def moment(seconds: float) -> str:
    """This time of the epoch as RFC 3339."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
