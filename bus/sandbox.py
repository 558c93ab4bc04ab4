"""A sandbox as its user sees it: files packed into one archive, unpacked without trust."""

from __future__ import annotations

import gzip
import hashlib
import os
import re
import shutil
import stat
import tarfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from bus.errors import Invalid

UNPACKED_LIMIT_BYTES = 1 << 30
_MOST_MEMBERS = 10_000
_LONGEST_HEADER_BYTES = 1 << 20
_HEADERS_LIMIT_BYTES = 32 << 20
_PIECE_BYTES = 1 << 16


class SandboxError(Exception):
    """A sandbox could not be sent, fetched or unpacked; one sentence says why."""


@dataclass(frozen=True, slots=True)
class Packed:
    """A sandbox on this disk."""

    path: Path
    digest: str
    size_bytes: int


def pack(files: Sequence[Path], archive: Path) -> Packed:
    """The archive holds these files and folders by their names, and the same files give the same bytes again.

    Raises Invalid for a file that is missing or no file, and for two of one name.
    """
    given: dict[str, Path] = {}
    for path in map(Path, map(os.path.abspath, files)):  # not resolve(): that would call a link by another name
        if given.setdefault(path.name, path) != path:
            raise Invalid(f"{given[path.name]} and {path} would both be called {path.name} in the sandbox")
    named = dict(found for name, path in given.items() for found in _files(name, path))
    with (
        archive.open("wb") as file,
        # the name "" and time 0 go into the header: otherwise no two archives would be equal
        gzip.GzipFile("", "wb", 6, file, mtime=0) as zipped,
        tarfile.open(fileobj=zipped, mode="w") as tar,
    ):
        for name in sorted(named):
            _add(tar, name, named[name])
    with archive.open("rb") as packed:
        return Packed(archive, hashlib.file_digest(packed, "sha256").hexdigest(), packed.tell())


def _files(name: str, path: Path) -> Iterator[tuple[str, Path]]:
    if not path.is_dir():
        yield name, path
        return
    for entry in path.iterdir():
        if entry.is_symlink() and entry.is_dir():
            raise Invalid(f"{entry} is a link to a folder; name what it points to")
        yield from _files(f"{name}/{entry.name}", entry)


def _add(tar: tarfile.TarFile, name: str, path: Path) -> None:
    try:
        # not blocking: a named pipe would be waited on for ever
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError as problem:
        raise Invalid(f"there is no file {path}") from problem
    with os.fdopen(descriptor, "rb") as content:
        state = os.fstat(descriptor)
        if not stat.S_ISREG(state.st_mode):
            raise Invalid(f"{path} is not a file")
        member = tarfile.TarInfo(name)
        member.size = state.st_size
        member.mode = 0o755 if state.st_mode & 0o100 else 0o644
        tar.addfile(member, content)


class _Tape(gzip.GzipFile):
    """The unzipped archive, read forwards only, up to a limit, and with no header that would not fit into memory."""

    limit_bytes = UNPACKED_LIMIT_BYTES

    def read(self, size: int | None = -1) -> bytes:
        """The next bytes."""
        if size is None or not 0 <= size <= _LONGEST_HEADER_BYTES:
            raise SandboxError(f"one of its headers is longer than {_LONGEST_HEADER_BYTES} bytes")
        self._stop_beyond(self.tell())
        return super().read(size)

    def seek(self, offset: int, whence: int = 0) -> int:
        """Only forwards: an archive that leads back may never end."""
        here = super().seek(0, os.SEEK_CUR)
        there = offset + (here if whence == os.SEEK_CUR else 0)
        if there < here:
            raise SandboxError("its members lead backwards")
        self._stop_beyond(there)
        return super().seek(there)

    def _stop_beyond(self, offset: int) -> None:
        if offset > self.limit_bytes + _HEADERS_LIMIT_BYTES:
            raise SandboxError(f"it unpacks to more than {self.limit_bytes} bytes")


def unpack(archive: Path, directory: Path, limit_bytes: int = UNPACKED_LIMIT_BYTES) -> list[Path]:
    """The archive's files and folders are in the directory and nothing is anywhere else; the files, in order.

    Raises SandboxError, also for a link or a device; what came before it stays.
    """
    directory.mkdir(parents=True, exist_ok=True)
    root = directory.resolve()
    try:
        with _Tape(archive, "rb") as tape:
            tape.limit_bytes = limit_bytes
            with tarfile.open(fileobj=tape, mode="r:") as tar:
                return [directory / path.relative_to(root) for path in _extract(tar, root, limit_bytes)]
    except (SandboxError, tarfile.TarError, zlib.error, EOFError, OSError, ValueError, RecursionError) as problem:
        raise SandboxError(f"the sandbox can not be unpacked: {one_line(str(problem))}") from problem


def _extract(tar: tarfile.TarFile, root: Path, room_bytes: int) -> Iterator[Path]:
    for count, member in enumerate(tar, 1):
        if count > _MOST_MEMBERS:
            raise SandboxError(f"it holds more than {_MOST_MEMBERS} files")
        path = _inside(root, member.name)
        tarfile.data_filter(member, str(root))
        if member.isdir():
            path.mkdir(parents=True, exist_ok=True)
            continue
        # nobody packs a link: what it pointed to is packed
        content = tar.extractfile(member) if member.isreg() and not member.issparse() else None
        if content is None:
            raise SandboxError(f"{member.name!r} is neither a file nor a folder")
        room_bytes -= member.size
        if room_bytes < 0 or member.size < 0:
            raise SandboxError("its files are larger than what may be unpacked")
        _write(content, path, member.mode)
        yield path


def _inside(root: Path, name: str) -> Path:
    inner = PurePosixPath(name)
    if inner.is_absolute() or ".." in inner.parts or "\x00" in name:
        raise SandboxError(f"{name!r} points out of it")
    path = root.joinpath(*inner.parts)
    # the folder may have been here before, with links of its own
    if not path.parent.resolve().is_relative_to(root):
        raise SandboxError(f"{name!r} goes through a link that points out of it")
    return path


def _write(source: IO[bytes], path: Path, mode: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name[:60]}.unpacking")
    unfinished.unlink(missing_ok=True)
    try:
        with unfinished.open("xb") as file:
            shutil.copyfileobj(source, file, _PIECE_BYTES)
        unfinished.chmod(0o755 if mode & 0o100 else 0o644)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def one_line(text: str) -> str:
    """What a stranger wrote, as one short line without control characters."""
    return " ".join(re.sub(r"[^\x20-\x7e\xa0-\uffff]", " ", text).split())[:500]
