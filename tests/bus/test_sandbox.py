"""bus.sandbox: equal files make equal archives, none reaches out of its folder, a failed transfer is one sentence."""

from __future__ import annotations

import base64
import contextlib
import gzip
import hashlib
import io
import json
import os
import tarfile
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bus.errors import Invalid
from bus.sandbox import SandboxError, pack, unpack
from bus.transfer import download, upload

Answer = tuple[int, bytes]


def archive_of(path: Path, *members: tarfile.TarInfo, content: bytes = b"x") -> Path:
    """An archive of members that no honest pack would make."""
    with tarfile.open(path, "w:gz") as tar:
        for member in members:
            member.size = len(content) if member.isreg() else 0
            tar.addfile(member, io.BytesIO(content))
    return path


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    found = tarfile.TarInfo(name)
    found.type, found.linkname = kind, link
    return found


def everything_under(directory: Path) -> set[str]:
    return {str(path.relative_to(directory)) for path in directory.rglob("*")}


def test_what_was_packed_is_unpacked(tmp_path: Path) -> None:
    script = tmp_path / "run.sh"
    script.write_text("#!/bin/sh\n")
    script.chmod(0o700)
    folder = tmp_path / "data" / "deep"
    folder.mkdir(parents=True)
    (folder / "ä b").write_bytes(b"\0" * 3_000_000)
    packed = pack([script, tmp_path / "data"], tmp_path / "a.tar.gz")

    got = unpack(packed.path, tmp_path / "got")

    assert got == [tmp_path / "got" / "data" / "deep" / "ä b", tmp_path / "got" / "run.sh"]
    assert [path.stat().st_size for path in got] == [3_000_000, 10]
    assert [path.stat().st_mode & 0o777 for path in got] == [0o644, 0o755]
    assert packed.size_bytes == packed.path.stat().st_size
    assert packed.digest == hashlib.sha256(packed.path.read_bytes()).hexdigest()
    assert unpack(packed.path, tmp_path / "got") == got  # again, over what is there


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.dictionaries(st.text("ab.-_ é", min_size=1, max_size=120).filter(lambda n: n not in {".", ".."}), st.binary(), max_size=5)
)
def test_equal_files_make_equal_bytes(tmp_path_factory: pytest.TempPathFactory, contents: dict[str, bytes]) -> None:
    archives = []
    for names in (list(contents), list(reversed(contents))):
        folder = tmp_path_factory.mktemp("files")
        for number, name in enumerate(names):
            (folder / name).write_bytes(contents[name])
            os.utime(folder / name, (number, number))
        archives.append(pack([folder / name for name in names], tmp_path_factory.mktemp("out") / "a.tar.gz"))
    one, other = archives
    assert one.path.read_bytes() == other.path.read_bytes()
    got = unpack(one.path, one.path.parent / "got")
    assert {path.name: path.read_bytes() for path in got} == contents


def test_neither_time_nor_owner_nor_name_of_the_archive_is_in_it(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a")
    packed = pack([tmp_path / "a"], tmp_path / "named.tar.gz")
    assert packed.path.read_bytes()[4:8] == bytes(4)
    assert b"named" not in packed.path.read_bytes()
    with tarfile.open(packed.path) as tar:
        (only,) = tar.getmembers()
    assert (only.mtime, only.uid, only.gid, only.uname, only.gname) == (0, 0, 0, "", "")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match=f"^there is no file {tmp_path}/missing.txt$"):
        pack([tmp_path / "missing.txt"], tmp_path / "a.tar.gz")


def test_two_files_of_one_name_are_refused_and_one_file_twice_is_not(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a").write_text(folder)
    with pytest.raises(Invalid, match=f"^{tmp_path}/one/a and {tmp_path}/two/a would both be called a in the sandbox$"):
        pack([tmp_path / "one" / "a", tmp_path / "two" / "a"], tmp_path / "a.tar.gz")
    packed = pack([tmp_path / "one" / "a", tmp_path / "two" / ".." / "one" / "a"], tmp_path / "a.tar.gz")
    assert len(unpack(packed.path, tmp_path / "got")) == 1


def test_a_link_is_packed_as_what_it_points_to_and_a_link_to_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("text")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "link").symlink_to(tmp_path / "real")
    packed = pack([tmp_path / "folder"], tmp_path / "a.tar.gz")
    (got,) = unpack(packed.path, tmp_path / "got")
    assert (got.name, got.read_text(), got.is_symlink()) == ("link", "text", False)
    (tmp_path / "folder" / "round").symlink_to(tmp_path / "folder")
    with pytest.raises(Invalid, match="round is a link to a folder"):
        pack([tmp_path / "folder"], tmp_path / "a.tar.gz")


def test_a_named_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(Invalid, match="pipe is not a file"):
        pack([tmp_path / "pipe"], tmp_path / "a.tar.gz")


@pytest.mark.parametrize("name", ["/tmp/x", "../x", "a/../../x", "a/../x", "..", "//x"])
def test_a_name_that_points_out_is_refused(tmp_path: Path, name: str) -> None:
    bad = archive_of(tmp_path / "a.tar.gz", member("good"), member(name), member("never"))
    with pytest.raises(SandboxError, match="points out of it"):
        unpack(bad, tmp_path / "deep" / "got")
    assert everything_under(tmp_path) == {"a.tar.gz", "deep", "deep/got", "deep/got/good"}


@pytest.mark.parametrize(
    "bad",
    [
        member("link", tarfile.SYMTYPE, "/etc"),
        member("link", tarfile.SYMTYPE, "inner"),
        member("link", tarfile.LNKTYPE, "../../outside"),
        member("link", tarfile.LNKTYPE, "inner"),
        member("device", tarfile.CHRTYPE),
        member("device", tarfile.BLKTYPE),
        member("pipe", tarfile.FIFOTYPE),
        member("sparse", tarfile.GNUTYPE_SPARSE),
    ],
    ids=lambda bad: f"{bad.name}-{bad.linkname}-{bad.type.decode()}",
)
def test_links_and_devices_are_refused(tmp_path: Path, bad: tarfile.TarInfo) -> None:
    (tmp_path / "outside").write_text("untouched")
    archive = archive_of(tmp_path / "a.tar.gz", member("inner"), bad, member("link/x"))
    with pytest.raises(SandboxError, match=r"^the sandbox can not be unpacked: .+$"):
        unpack(archive, tmp_path / "got")
    assert everything_under(tmp_path / "got") == {"inner"}
    assert (tmp_path / "outside").read_text() == "untouched"


def test_a_link_that_was_there_before_is_not_followed_out(tmp_path: Path) -> None:
    outside, got = tmp_path / "outside", tmp_path / "got"
    outside.mkdir()
    got.mkdir()
    (outside / "file").write_text("untouched")
    (got / "folder").symlink_to(outside)
    (got / "file").symlink_to(outside / "file")
    with pytest.raises(SandboxError, match="goes through a link"):
        unpack(archive_of(tmp_path / "a.tar.gz", member("folder/x")), got)
    with pytest.raises(SandboxError, match="outside the destination"):
        unpack(archive_of(tmp_path / "b.tar.gz", member("file")), got)
    assert {path.name: path.read_text() for path in outside.iterdir()} == {"file": "untouched"}


def test_a_bomb_is_stopped_before_it_bursts(tmp_path: Path) -> None:
    bomb = archive_of(tmp_path / "a.tar.gz", member("one"), member("two"), content=bytes(1 << 20))
    with pytest.raises(SandboxError, match="larger than what may be unpacked"):
        unpack(bomb, tmp_path / "got", limit_bytes=(2 << 20) - 1)
    assert everything_under(tmp_path / "got") == {"one"}
    assert len(unpack(bomb, tmp_path / "got", limit_bytes=2 << 20)) == 2


def test_a_header_that_would_fill_the_memory_is_refused(tmp_path: Path) -> None:
    for kind in (tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.SOLARIS_XHDTYPE, tarfile.XGLTYPE):
        header = tarfile.TarInfo("header")
        header.type, header.size = kind, 1 << 30
        (tmp_path / "a.tar.gz").write_bytes(gzip.compress(header.tobuf() + bytes(4 << 20)))
        with pytest.raises(SandboxError, match="headers is longer than"):
            unpack(tmp_path / "a.tar.gz", tmp_path / "got")


def test_a_long_row_of_headers_is_stopped(tmp_path: Path) -> None:
    header = tarfile.TarInfo("header")
    header.type, header.size = tarfile.XHDTYPE, 12
    with gzip.open(tmp_path / "a.tar.gz", "wb") as file:
        file.write((header.tobuf() + b"12 path=aaa\n" + bytes(500)) * 5000)
    with pytest.raises(SandboxError, match="can not be unpacked"):
        unpack(tmp_path / "a.tar.gz", tmp_path / "got")


def test_more_files_than_anybody_needs_are_refused(tmp_path: Path) -> None:
    many = archive_of(tmp_path / "a.tar.gz", *(member("folder", tarfile.DIRTYPE) for _ in range(10_001)))
    with pytest.raises(SandboxError, match="more than 10000 files"):
        unpack(many, tmp_path / "got")


@pytest.mark.parametrize("size", [-1, -512, -1024, -(1 << 40)])
def test_a_member_of_negative_size_does_not_lead_back_for_ever(tmp_path: Path, size: int) -> None:
    head = bytearray(member("a").tobuf(tarfile.GNU_FORMAT))
    head[124:136] = size.to_bytes(12, "big", signed=True)
    head[148:156] = b"%06o\0 " % (sum(head[:148]) + 8 * 32 + sum(head[156:512]))
    (tmp_path / "a.tar.gz").write_bytes(gzip.compress(member("first").tobuf() + bytes(head) + bytes(2048)))
    with pytest.raises(SandboxError, match="can not be unpacked"):
        unpack(tmp_path / "a.tar.gz", tmp_path / "got")


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_spoilt_bytes_are_one_sentence_and_never_a_crash(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    folder = tmp_path_factory.mktemp("spoilt")
    (folder / "a").write_bytes(b"hello" * 300)
    whole = gzip.decompress(pack([folder / "a"], folder / "a.tar.gz").path.read_bytes())
    spoilt = bytearray(whole)
    for place in data.draw(st.lists(st.integers(0, 600), max_size=6)):
        spoilt[place] = data.draw(st.integers(0, 255))
    zipped = gzip.compress(bytes(spoilt))
    (folder / "b.tar.gz").write_bytes(zipped[: data.draw(st.integers(0, len(zipped)))])
    with contextlib.suppress(SandboxError):
        unpack(folder / "b.tar.gz", folder / "got")
    assert {path.name for path in folder.iterdir()} <= {"a", "a.tar.gz", "b.tar.gz", "got"}


class Store:
    """A server that gives the next answer of a list to each request, and keeps what it was sent."""

    def __init__(self, *answers: Answer | None) -> None:
        self.answers, self.got = list(answers), list[tuple[str, str, dict[str, str], bytes]]()

    @contextlib.contextmanager
    def answering(self) -> Iterator[str]:
        """Its address."""
        server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/sandbox/a?signature=secret-words"
        finally:
            server.shutdown()
            server.server_close()
            thread.join()

    def _handler(store: Store) -> type[BaseHTTPRequestHandler]:  # noqa: N805 - self is the request's
        class Handler(BaseHTTPRequestHandler):
            def do_PUT(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                store.got.append((self.command, self.path, dict(self.headers), body))
                answer = store.answers.pop(0)
                if answer is None:
                    self.close_connection = True  # breaks off without a word
                    return
                self.send_response(answer[0])
                self.send_header("Location", "/elsewhere")
                self.send_header("Content-Length", str(len(answer[1].removesuffix(b"<cut>")) + 5 * answer[1].endswith(b"<cut>")))
                self.end_headers()
                self.wfile.write(answer[1].removesuffix(b"<cut>"))

            do_GET = do_PUT  # noqa: N815 - the library's own

            def log_message(self, *_: object) -> None:
                """Quiet."""

        return Handler


def refused(status: int, reason: str) -> Answer:
    return status, json.dumps({"reason": reason}).encode()


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    path = tmp_path / "a.tar.gz"
    path.write_bytes(os.urandom(200_000))
    return path


def test_an_upload_sends_the_granted_headers_the_length_and_the_bytes(archive: Path) -> None:
    store, told = Store((201, b"")), list[int]()
    with store.answering() as url:
        upload(url, {"x-amz-checksum-sha256": "sum"}, archive, progress=told.append)
    ((method, path, headers, body),) = store.got
    assert (method, path) == ("PUT", "/sandbox/a?signature=secret-words")
    assert body == archive.read_bytes()
    assert (headers["x-amz-checksum-sha256"], headers["Content-Length"]) == ("sum", "200000")
    assert "Transfer-Encoding" not in headers
    assert told == sorted(told)
    assert told[-1] == 200_000


def test_the_stores_own_reason_is_what_is_raised(archive: Path) -> None:
    for status in (403, 404, 409, 413, 507):
        store = Store(refused(status, "the sandbox store is full: it keeps 5 bytes at most"))
        with (
            store.answering() as url,
            pytest.raises(SandboxError, match=r"^the sandbox store is full: it keeps 5 bytes at most$"),
        ):
            upload(url, {}, archive)
        assert len(store.got) == 1  # asking again would change nothing


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (
            b"<Error><Code>X</Code><Message>Access\nDenied\x1b[0m</Message></Error>",
            "the sandbox store answered 403 Forbidden: Access Denied [0m",
        ),
        (b"\xff\xfe", "the sandbox store answered 403 Forbidden"),
        (b"[]", "the sandbox store answered 403 Forbidden"),
        (b"", "the sandbox store answered 403 Forbidden"),
    ],
)
def test_a_store_that_speaks_otherwise_still_makes_one_sentence(archive: Path, body: bytes, said: str) -> None:
    with Store((403, body)).answering() as url, pytest.raises(SandboxError) as problem:
        upload(url, {}, archive)
    assert str(problem.value) == said


def test_what_has_come_is_kept_for_the_next_time_where_that_is_wanted(archive: Path, tmp_path: Path) -> None:
    whole, digest = archive.read_bytes(), hashlib.sha256(archive.read_bytes()).hexdigest()
    store = Store((200, whole[:70_000] + b"<cut>"), refused(404, "gone"), (206, whole[65_536:]))
    with store.answering() as url:
        with pytest.raises(SandboxError, match=r"^gone$"):
            download(url, tmp_path / "b", digest, keep_part=True)
        assert (tmp_path / "b.part").read_bytes() == whole[:65_536]  # whole pieces
        download(url, tmp_path / "b", digest, keep_part=True)
    assert (tmp_path / "b").read_bytes() == whole
    assert [headers.get("Range") for _, _, headers, _ in store.got] == [None, "bytes=65536-", "bytes=65536-"]


def test_what_broke_off_is_tried_again(archive: Path, tmp_path: Path) -> None:
    store = Store(None, refused(503, "not now"), (200, b""))
    with store.answering() as url:
        upload(url, {}, archive)
    assert [body for *_, body in store.got] == [archive.read_bytes()] * 3

    digest = hashlib.sha256(b"hello").hexdigest()
    store = Store((200, b"hel<cut>"), (200, b"hello"))
    with store.answering() as url:
        download(url, tmp_path / "got", digest)
    assert (tmp_path / "got").read_bytes() == b"hello"


@pytest.mark.parametrize("call", [lambda url, path: upload(url, {}, path), lambda url, path: download(url, path, "a" * 64)])
def test_after_three_tries_one_sentence_says_so_and_does_not_tell_the_address(
    call: Callable[[str, Path], None], archive: Path
) -> None:
    before = archive.read_bytes()
    store = Store(None, None, None)
    with (
        store.answering() as url,
        pytest.raises(SandboxError, match=r"^the sandbox store at 127\.0\.0\.1:\d+ can not be reached") as problem,
    ):
        call(url, archive)
    assert "secret-words" not in str(problem.value)
    assert len(store.got) == 3
    assert archive.read_bytes() == before


def test_a_store_that_stays_unwell_is_quoted(archive: Path) -> None:
    with (
        Store(*[refused(500, "the disk is broken")] * 3).answering() as url,
        pytest.raises(SandboxError, match=r"^the disk is broken$"),
    ):
        upload(url, {}, archive)


def test_a_signed_address_leads_nowhere_else(archive: Path) -> None:
    store = Store((307, b""), (201, b""))
    with store.answering() as url, pytest.raises(SandboxError, match="answered 307"):
        upload(url, {}, archive)
    assert len(store.got) == 1


def test_a_netrc_adds_nothing(archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login ada password words\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    store = Store((201, b""))
    with store.answering() as url:
        upload(url, {}, archive)
    assert "Authorization" not in store.got[0][2]
    assert base64.b64encode(b"ada:words").decode() not in str(store.got[0][2])


def test_other_bytes_than_promised_are_refused_and_what_was_there_stays(tmp_path: Path) -> None:
    (tmp_path / "got").write_text("before")
    with Store((200, b"other")).answering() as url, pytest.raises(SandboxError, match="its bytes were changed"):
        download(url, tmp_path / "got", "a" * 64)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"got": "before"}


def test_an_address_that_is_none_is_refused_at_once(archive: Path) -> None:
    for url in ("file:///etc/passwd", "nonsense", "https://"):
        with pytest.raises(SandboxError, match="address can not be used"):
            upload(url, {}, archive)
