"""Secrets at rest: AES-256-GCM under keys in a file of mode 600, one a line; the first seals, all of them open."""

from __future__ import annotations

import base64
import binascii
import contextlib
import hashlib
import os
import secrets
import stat
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_FORM = b"\x01"
_NAME_BYTES, _NONCE_BYTES, _KEY_BYTES = 8, 12, 32


class Locked(Exception):
    """There is no key, or not the right one; one sentence says which, and nothing of any secret."""


class Vault:
    """Seals and opens. The file is read at each use, so that a new key needs no restart."""

    def __init__(self, path: str) -> None:
        self._path = path

    def seal(self, secret: bytes, about: str) -> bytes:
        """The secret, readable only with the same `about`, so that no row can stand for another. Raises Locked."""
        name, key = next(iter(self._keys().items()))
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return _FORM + name + nonce + AESGCM(key).encrypt(nonce, secret, about.encode())

    def open(self, sealed: bytes, about: str) -> bytes:
        """The secret that was sealed. Raises Locked."""
        form, name, rest = sealed[:1], sealed[1 : 1 + _NAME_BYTES], sealed[1 + _NAME_BYTES :]
        key = self._keys().get(name)
        if form != _FORM or key is None:
            raise Locked("what is kept was sealed with a key that the key file no longer has")
        try:
            return AESGCM(key).decrypt(rest[:_NONCE_BYTES], rest[_NONCE_BYTES:], about.encode())
        except (InvalidTag, ValueError) as problem:
            raise Locked("what is kept is damaged, or was moved here from another row") from problem

    def _keys(self) -> dict[bytes, bytes]:
        if not self._path:
            raise Locked("this house keeps no secrets: PILOTBUS_VAULT_KEY_FILE is not set")
        try:
            with open(self._path, "rb") as file:  # noqa: PTH123 - fstat of what is read, not of what the name means later
                mode, lines = os.fstat(file.fileno()).st_mode, file.read().split()
        except OSError as problem:
            raise Locked(f"this house keeps no secrets: its key file can not be read ({problem.strerror})") from problem
        if stat.S_IMODE(mode) & 0o077:
            raise Locked("this house keeps no secrets: its key file may be read by others, give it mode 600")
        keys = [key for line in lines if (key := _decoded(line))]
        if not keys or len(keys) != len(lines):
            raise Locked("this house keeps no secrets: its key file is not made of lines of 32 bytes in base64")
        return {hashlib.sha256(key).digest()[:_NAME_BYTES]: key for key in keys}


def make(path: Path) -> None:
    """The key file is there, with mode 600; one that was there is untouched, whoever comes first."""
    if path.exists():
        return
    fresh = _written(path, _line())
    try:
        with contextlib.suppress(FileExistsError):
            os.link(fresh, path)
    finally:
        fresh.unlink()


def _line() -> bytes:
    return base64.b64encode(secrets.token_bytes(_KEY_BYTES)) + b"\n"


def _written(path: Path, lines: bytes) -> Path:
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:  # noqa: PTH123 - born with its mode
        file.write(lines)
        file.flush()
        os.fsync(file.fileno())
    return fresh


def _decoded(line: bytes) -> bytes | None:
    try:
        key = base64.b64decode(line, validate=True)
    except binascii.Error:
        return None
    return key if len(key) == _KEY_BYTES else None
