"""vault: what is sealed is opened with the same key for the same row, and by nothing else."""

from __future__ import annotations

import subprocess
import threading
from pathlib import Path

import pytest

from handlers.proxy.vault import Locked, Vault, make

SECRET = b"-----BEGIN RSA PRIVATE KEY-----"


def other_key() -> bytes:
    """A key as deploy/README.md tells an operator to make it."""
    return subprocess.run(["openssl", "rand", "-base64", "32"], capture_output=True, check=True).stdout


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "vault.key"
    make(made)
    return made


def test_what_is_sealed_is_opened_for_its_own_row_only(path: Path) -> None:
    vault = Vault(str(path))
    sealed = vault.seal(SECRET, "ada")
    assert vault.open(sealed, "ada") == SECRET
    assert SECRET not in sealed
    assert vault.seal(SECRET, "ada") != sealed
    for about, text in [
        ("bob", sealed),
        ("ada", sealed[:-1]),
        ("ada", sealed[:-1] + bytes([sealed[-1] ^ 1])),
        ("ada", sealed[:15]),
    ]:
        with pytest.raises(Locked, match="damaged, or was moved"):
            vault.open(text, about)


def test_a_new_key_seals_and_the_old_one_opens_until_its_line_is_removed(path: Path) -> None:
    vault = Vault(str(path))
    old = vault.seal(SECRET, "ada")
    path.write_bytes(other_key() + path.read_bytes())
    new = vault.seal(SECRET, "ada")
    assert (vault.open(old, "ada"), vault.open(new, "ada")) == (SECRET, SECRET)
    path.write_bytes(path.read_bytes().splitlines(keepends=True)[0])
    assert vault.open(new, "ada") == SECRET
    with pytest.raises(Locked, match="no longer has"):
        vault.open(old, "ada")


def test_the_key_file_is_born_private_and_the_first_one_stays(path: Path) -> None:
    assert path.stat().st_mode & 0o777 == 0o600
    kept = path.read_bytes()
    make(path)
    assert path.read_bytes() == kept
    assert path.stat().st_mode & 0o777 == 0o600
    assert [other.name for other in path.parent.iterdir()] == [path.name]


def test_many_who_make_it_at_once_have_one_key(tmp_path: Path) -> None:
    path = tmp_path / "vault.key"
    found: list[bytes] = []
    together = threading.Barrier(8)

    def come() -> None:
        together.wait()
        make(path)
        found.append(path.read_bytes())

    threads = [threading.Thread(target=come) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1


@pytest.mark.parametrize(
    ("text", "mode", "why"),
    [
        (None, 0, "can not be read"),
        ("", 0o600, "32 bytes"),
        ("c2hvcnQ=\n", 0o600, "32 bytes"),
        ("not base64!\n", 0o600, "32 bytes"),
        ("A" * 43 + "=\n", 0o640, "600"),
    ],
)
def test_without_a_good_private_key_file_nothing_is_sealed(tmp_path: Path, text: str | None, mode: int, why: str) -> None:
    path = tmp_path / "vault.key"
    if text is not None:
        path.write_text(text)
        path.chmod(mode)
    with pytest.raises(Locked, match=f"keeps no secrets: .*{why}"):
        Vault(str(path)).seal(SECRET, "ada")


def test_a_house_without_a_key_file_says_so() -> None:
    with pytest.raises(Locked, match="PILOTBUS_VAULT_KEY_FILE is not set"):
        Vault("").seal(SECRET, "ada")
