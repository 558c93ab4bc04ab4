"""The rows of a submission that came by the sandbox store: copied from there, held against their digest, read line by line."""

from __future__ import annotations

import contextlib
import gzip
import io
import tempfile
import zlib
from collections.abc import Iterator, Mapping
from hashlib import sha256
from typing import IO, Any, Protocol

from schemas.rules.attributes import DescriptionError
from schemas.rules.rows import Lined

MOST_CHARACTERS = 4 << 30
MOST_LINES = 4_000_000  # empty ones are no jobs, and cost time all the same
GZIP = b"\x1f\x8b"


class Hands(Protocol):
    """The store that rows are read from."""

    def size_of(self, digest: str) -> int | None:
        """How large a stored sandbox is, or None."""
        ...

    def pieces(self, digest: str) -> Iterator[bytes]:
        """Its bytes."""
        ...


class _Read:
    """A text that ends somewhere, whatever it unpacks to."""

    def __init__(self, text: IO[str]) -> None:
        self._text, self._left, self._lines_left = text, MOST_CHARACTERS, MOST_LINES

    def readline(self, size: int, /) -> str:
        """The next line. Raises DescriptionError when the text is broken or goes on for too long."""
        try:
            line = self._text.readline(size)
        except (gzip.BadGzipFile, zlib.error, EOFError) as problem:
            raise DescriptionError(f"the rows can not be unpacked: {problem}") from problem
        self._left -= len(line)
        self._lines_left -= 1
        if self._left < 0:
            raise DescriptionError(f"the rows have more than {MOST_CHARACTERS} characters")
        if self._lines_left < 0:
            raise DescriptionError(f"the rows have more than {MOST_LINES} lines")
        return line


@contextlib.contextmanager
def text_of(hands: Hands, dataref: Mapping[str, Any]) -> Iterator[Lined]:
    """The text that was stored, plain or as gzip, while the block lasts. Raises DescriptionError when it is another."""
    with tempfile.TemporaryFile() as file:
        found, size = sha256(), 0
        for piece in hands.pieces(dataref["digest"]):
            found.update(piece)
            size += file.write(piece)
        if (found.hexdigest(), size) != (dataref["digest"], dataref["size_bytes"]):
            raise DescriptionError(
                f"the rows are not {dataref['size_bytes']} bytes with digest {dataref['digest']}; send them again"
            )
        file.seek(0)
        packed = file.read(len(GZIP)) == GZIP
        file.seek(0)
        raw: Any = gzip.GzipFile(fileobj=file) if packed else file
        # other bytes than UTF-8 are found where they stand, and the line is named
        yield _Read(io.TextIOWrapper(raw, encoding="utf-8", errors="surrogateescape", newline=""))
