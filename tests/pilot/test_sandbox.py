"""sandbox: nothing gets out of the work directory, neither when unpacking nor when packing."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import pytest

from pilot.sandbox import BadSandbox, find, pack, unpack


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "", size: int = 0, mode: int = 0o644) -> tarfile.TarInfo:
    found = tarfile.TarInfo(name)
    found.type, found.linkname, found.size, found.mode = kind, link, size, mode
    return found


def archive(path: Path, *members: tarfile.TarInfo, content: bytes = b"") -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for each in members:
            tar.addfile(each, io.BytesIO(content[: each.size]))
    return path


@pytest.fixture
def inner(tmp_path: Path) -> Path:
    (tmp_path / "outside").mkdir()
    (tmp_path / "work").mkdir()
    return tmp_path / "work"


def test_files_folders_and_inner_links_are_unpacked(inner: Path) -> None:
    sandbox = archive(
        inner.parent / "in.tar.gz",
        member("sub", tarfile.DIRTYPE),
        member("sub/run.sh", size=4, mode=0o4755),
        member("copy", tarfile.LNKTYPE, "sub/run.sh"),
        member("link", tarfile.SYMTYPE, "sub/run.sh"),
        content=b"true",
    )
    unpack(sandbox, inner, 1)
    assert [(inner / name).read_text() for name in ("sub/run.sh", "copy", "link")] == ["true"] * 3
    assert (inner / "sub/run.sh").stat().st_mode & 0o7777 == 0o755


@pytest.mark.parametrize(
    "members",
    [
        [member("/etc/evil")],
        [member("../evil")],
        [member("sub/../../evil")],
        [member("out", tarfile.SYMTYPE, "../outside"), member("out/evil", size=1)],
        [member("out", tarfile.SYMTYPE, "/etc")],
        [member("here", tarfile.SYMTYPE, "."), member("up", tarfile.SYMTYPE, "here/..")],
        [member("here", tarfile.SYMTYPE, "."), member("here/up", tarfile.SYMTYPE, "..")],
        [member("hard", tarfile.LNKTYPE, "/etc/passwd")],
        [member("hard", tarfile.LNKTYPE, "../outside/secret")],
        [member("device", tarfile.CHRTYPE)],
        [member("disk", tarfile.BLKTYPE)],
        [member("pipe", tarfile.FIFOTYPE)],
        [member("link", tarfile.SYMTYPE, "x"), member("link", tarfile.SYMTYPE, "/etc")],
    ],
    ids=lambda members: "+".join(f"{each.name}>{each.linkname}" for each in members),
)
def test_what_would_get_out_is_refused_and_nothing_is_outside(inner: Path, members: list[tarfile.TarInfo]) -> None:
    (inner.parent / "outside" / "secret").write_text("secret")
    with pytest.raises(BadSandbox):
        unpack(archive(inner.parent / "in.tar.gz", *members, content=b"x"), inner, 1)
    assert [path.name for path in (inner.parent / "outside").iterdir()] == ["secret"]
    assert not (inner.parent / "evil").exists()


def test_a_bomb_is_refused_before_it_fills_the_disk(inner: Path) -> None:
    sandbox = archive(inner.parent / "in.tar.gz", *(member(f"zeros{n}", size=600_000) for n in range(2)), content=bytes(600_000))
    with pytest.raises(BadSandbox, match="more than 1 MB"):
        unpack(sandbox, inner, 1)


def test_hard_links_to_one_large_file_count_each_time(inner: Path) -> None:
    links = [member(f"link{n}", tarfile.LNKTYPE, "large") for n in range(3)]
    with pytest.raises(BadSandbox, match="more than 1 MB"):
        unpack(archive(inner.parent / "in.tar.gz", member("large", size=400_000), *links, content=bytes(400_000)), inner, 1)


@pytest.mark.parametrize("raw", [b"", b"not a tar", b"\x1f\x8b\x08\x00 torn"])
def test_what_is_no_archive_is_one_sentence(inner: Path, raw: bytes) -> None:
    (inner.parent / "in.tar.gz").write_bytes(raw)
    with pytest.raises(BadSandbox, match="can not be unpacked"):
        unpack(inner.parent / "in.tar.gz", inner, 1)


def test_names_and_patterns_find_files_and_what_finds_none_is_named(inner: Path) -> None:
    (inner / "sub").mkdir()
    for name in ("a.root", "b.root", "sub/c.root", "std.out"):
        (inner / name).write_text(name)
    (inner / "empty").mkdir()
    (inner / "out").symlink_to(inner.parent / "outside")
    (inner.parent / "outside" / "secret").write_text("secret")
    (inner / "stolen").symlink_to(inner.parent / "outside" / "secret")
    os.mkfifo(inner / "pipe")
    names = [
        "*.root",
        "sub",
        "empty",
        "std.out",
        "gone",
        "../outside/secret",
        "/etc/passwd",
        "out/secret",
        "stolen",
        "out",
        "pipe",
    ]
    files, missing = find(inner, names)
    assert files == ["a.root", "b.root", "std.out", "sub/c.root"]
    assert missing == ["gone", "../outside/secret", "/etc/passwd", "out/secret", "stolen", "out", "pipe"]


def test_the_same_files_make_the_same_bytes_and_come_back(inner: Path, tmp_path: Path) -> None:
    (inner / "result").write_text("42")
    one = pack(inner, ["result"], tmp_path / "one", 1)
    os.utime(inner / "result", (1, 1))
    two = pack(inner, ["result"], tmp_path / "two", 1)
    assert (one.digest, one.size_bytes) == (two.digest, two.size_bytes)
    (tmp_path / "again").mkdir()
    unpack(tmp_path / "one", tmp_path / "again", 1)
    assert (tmp_path / "again" / "result").read_text() == "42"


def test_an_output_above_the_limit_is_refused_while_it_is_written(inner: Path, tmp_path: Path) -> None:
    (inner / "noise").write_bytes(os.urandom(5 << 20))
    with pytest.raises(BadSandbox, match="larger than 1 MB"):
        pack(inner, ["noise"], tmp_path / "out", 1)
    assert (tmp_path / "out").stat().st_size < 2 << 20
