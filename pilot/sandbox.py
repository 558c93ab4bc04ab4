"""A sandbox is one .tar.gz: unpack it without trusting it, pack it so that equal files make equal bytes."""

from __future__ import annotations

import glob
import gzip
import hashlib
import os
import stat
import tarfile
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO

_MOST_MEMBERS = 10_000


class BadSandbox(Exception):
    """The sandbox can not be taken or made; one sentence says why."""


@dataclass(frozen=True)
class Packed:
    """A sandbox on disk."""

    path: Path
    digest: str
    size_bytes: int
    files: int


def unpack(archive: Path, target: Path, limit_mb: int) -> None:
    """The archive's files, folders and inner links are under target, and nothing anywhere else. Raises BadSandbox."""
    room = limit_mb << 20
    links: list[tarfile.TarInfo] = []
    seen: dict[str, tarfile.TarInfo] = {}
    try:
        with tarfile.open(archive, "r:gz") as tar:
            for count, member in enumerate(tar, 1):
                if count > _MOST_MEMBERS:
                    raise BadSandbox(f"it holds more than {_MOST_MEMBERS} files")
                # a hard link becomes a copy of the file that came before it
                source = seen.get(member.linkname, member) if member.islnk() else member
                seen[member.name] = source
                room -= max(0, source.size)
                if room < 0:
                    raise BadSandbox(f"it unpacks to more than {limit_mb} MB")
                if member.issym():
                    links.append(member)
                else:
                    _place(tar, member, source, target)
        # last, because then nothing is ever written through one
        for member in links:
            _link(member, target)
    except (tarfile.TarError, zlib.error, EOFError, OSError) as problem:
        raise BadSandbox(f"it can not be unpacked: {problem}") from problem


def _inside(name: str, target: Path) -> Path:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\x00" in name:
        raise BadSandbox(f"{name!r} points out of it")
    return target.joinpath(*path.parts)


def _place(tar: tarfile.TarFile, member: tarfile.TarInfo, source: tarfile.TarInfo, target: Path) -> None:
    path = _inside(member.name, target)
    if member.isdir():
        path.mkdir(parents=True, exist_ok=True)
        return
    if not source.isreg():
        raise BadSandbox(f"{member.name!r} is neither a file, a folder nor a link inside it")
    path.parent.mkdir(parents=True, exist_ok=True)
    content = tar.extractfile(source)
    path.unlink(missing_ok=True)
    with path.open("xb") as file:
        while content is not None and (piece := content.read(1 << 16)):
            file.write(piece)
    path.chmod(0o755 if source.mode & 0o100 else 0o644)


def _link(member: tarfile.TarInfo, target: Path) -> None:
    path = _inside(member.name, target)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(member.linkname)
    # resolved, not compared as text: x/.. is not the folder above when x is a link itself
    root = target.resolve()
    for place in (path, path.parent):
        resolved = Path(os.path.realpath(place))
        if resolved != root and root not in resolved.parents:
            path.unlink()
            raise BadSandbox(f"the link {member.name!r} points out of it")


def find(workdir: Path, names: Iterable[str]) -> tuple[list[str], list[str]]:
    """The files under workdir that these names and patterns mean, sorted; and the names that mean none."""
    root = workdir.resolve()
    found: set[str] = set()
    missing: list[str] = []
    for name in names:
        inner = PurePosixPath(name)
        allowed = not inner.is_absolute() and ".." not in inner.parts
        matches = glob.glob(str(PurePosixPath(glob.escape(str(root)), inner))) if allowed else []
        files = {file for match in matches for file in _files(Path(match), root)}
        if not files and not any(
            Path(match).is_dir() and not Path(match).is_symlink() and _within(Path(match), root) for match in matches
        ):
            missing.append(name)
        found |= files
    return sorted(found), missing


def _within(path: Path, root: Path) -> bool:
    resolved = Path(os.path.realpath(path))
    return resolved == root or root in resolved.parents


def _files(path: Path, root: Path) -> Iterable[str]:
    if not _within(path, root):
        return
    if path.is_dir() and not path.is_symlink():
        for entry in sorted(path.iterdir()):
            yield from _files(entry, root)
    elif path.is_file():
        yield str(path.relative_to(root))


class _Bounded:
    """A file that counts and digests what is written, and refuses more than its limit."""

    def __init__(self, file: BinaryIO, limit_bytes: int) -> None:
        self._file = file
        self._limit = limit_bytes
        self.digest = hashlib.sha256()
        self.size_bytes = 0

    def write(self, data: bytes) -> int:
        self.size_bytes += len(data)
        if self.size_bytes > self._limit:
            raise BadSandbox(f"it is larger than {self._limit >> 20} MB")
        self.digest.update(data)
        return self._file.write(data)

    def flush(self) -> None:
        self._file.flush()


def pack(workdir: Path, names: Iterable[str], archive: Path, limit_mb: int) -> Packed:
    """The archive holds these files, and the same files give the same bytes again. Raises BadSandbox."""
    files = list(names)
    try:
        with archive.open("wb") as file:
            bounded = _Bounded(file, limit_mb << 20)
            zipped = gzip.GzipFile("", "wb", 6, bounded, mtime=0)
            with zipped, tarfile.open(fileobj=zipped, mode="w", format=tarfile.PAX_FORMAT) as tar:
                for name in files:
                    _add(tar, workdir / name, name)
    except OSError as problem:
        raise BadSandbox(f"it can not be packed: {problem}") from problem
    return Packed(archive, bounded.digest.hexdigest(), bounded.size_bytes, len(files))


def _add(tar: tarfile.TarFile, path: Path, name: str) -> None:
    # not blocking: a named pipe put in the file's place would hold the pilot for ever
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as content:
        state = os.fstat(descriptor)
        if not stat.S_ISREG(state.st_mode):
            raise BadSandbox(f"{name!r} is not a file")
        member = tarfile.TarInfo(name)
        member.size = state.st_size
        member.mode = 0o755 if state.st_mode & 0o100 else 0o644
        tar.addfile(member, content)
