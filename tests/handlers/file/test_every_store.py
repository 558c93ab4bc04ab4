"""Every sandbox store keeps what handlers/file/store/_contract.py promises: one suite over all of them, over real servers."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import re
import secrets
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest
import requests
import structlog

from bus.errors import Later
from bus.http import Server, serve
from bus.sandbox import SandboxError
from bus.transfer import download, upload
from deploy.certificates import Certificates, ensure
from handlers.file import store as folder
from handlers.file.store._contract import Grant, Store
from handlers.file.store.local import LocalStore
from handlers.file.store.s3 import S3Store
from schemas import Invalid

LIMIT = 1 << 20
STORE_LIMIT = 4 << 20
SECRET = "a-secret-that-no-log-may-show"


@dataclass(slots=True)
class Opened:
    """A store that answers, how it refuses, and what ends it."""

    store: Store
    ca_file: str = ""
    checks_content: bool = False
    refuses_larger_than_granted: int = 403
    visible: Callable[[], list[str]] = list
    close: Callable[[], None] = field(default=lambda: None)

    def put(self, path: Path, size_bytes: int | None = None, digest: str = "") -> None:
        granted = self.store.grant("put", digest or sha256(path), size_bytes or path.stat().st_size, 60)
        upload(granted.url, granted.headers, path, self.ca_file)

    def get(self, digest: str, path: Path) -> bytes:
        download(self.store.grant("get", digest, None, 60).url, path, digest, self.ca_file)
        return path.read_bytes()

    def ask(self, method: str, granted: Grant, body: Any = None, url: str = "", **more: Any) -> requests.Response:
        verify = self.ca_file or True
        headers = dict(granted.headers) | more.pop("headers", {})
        return requests.request(method, url or granted.url, data=body, headers=headers, verify=verify, timeout=20, **more)


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def some_file(path: Path, size: int) -> Path:
    path.write_bytes(os.urandom(size))
    return path


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return ensure(tmp_path_factory.mktemp("tls"))


@contextlib.contextmanager
def answering(store: LocalStore, certificates: Certificates, port: int) -> Iterator[Server]:
    """The store's own server, in a thread, for as long as the block lasts."""
    server = serve(store.app(), "127.0.0.1", port, certificates.server, certificates.server_key)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        yield server
    finally:
        server.should_exit = True
        thread.join(timeout=20)
        assert not thread.is_alive()


@contextlib.contextmanager
def local(directory: Path, certificates: Certificates, limit: int = LIMIT, store_limit: int = STORE_LIMIT) -> Iterator[Opened]:
    """A local store that answers HTTPS."""
    port = free_port()
    store = LocalStore(directory, f"https://127.0.0.1:{port}", SECRET, limit, store_limit)
    with contextlib.ExitStack() as stack:
        stack.enter_context(answering(store, certificates, port))
        yield Opened(
            store,
            str(certificates.authority),
            checks_content=True,
            refuses_larger_than_granted=409,
            visible=lambda: sorted(path.name for path in directory.iterdir()),
            close=stack.close,
        )


@pytest.fixture(scope="module")
def s3_endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real S3 server, which verifies SigV4, though not checksums."""
    port = free_port()
    words = {"AWS_ACCESS_KEY_ID": "tester", "AWS_SECRET_ACCESS_KEY": secrets.token_hex(16), "AWS_REGION": "us-east-1"}
    environment = os.environ | {
        "NANIO_ACCESS_KEY": words["AWS_ACCESS_KEY_ID"],
        "NANIO_SECRET_KEY": words["AWS_SECRET_ACCESS_KEY"],
    }
    place = ["--host", "127.0.0.1", "--port", str(port), "--data-dir", str(tmp_path_factory.mktemp("s3"))]
    command = [sys.executable, "-m", "nanio", "serve", *place, "--no-access-log"]
    with pytest.MonkeyPatch.context() as patch:
        for name, value in words.items():
            patch.setenv(name, value)
        process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
        try:
            assert process.stderr is not None
            assert any("running on" in line for line in process.stderr), "the S3 server did not start"
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.communicate(timeout=20)


@contextlib.contextmanager
def s3(endpoint: str) -> Iterator[Opened]:
    """A store in a new bucket."""
    bucket = f"pilotbus-{secrets.token_hex(4)}"
    client = boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1")
    client.create_bucket(Bucket=bucket)

    def keys() -> list[str]:
        return [entry["Key"].removeprefix("sandbox/") for entry in client.list_objects_v2(Bucket=bucket).get("Contents", [])]

    store = S3Store(bucket, endpoint, LIMIT)
    try:
        yield Opened(store, visible=keys)
    finally:
        store.close()
        client.close()


@pytest.fixture(params=["local", "s3"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Opened]:
    """Each kind of store in turn."""
    if request.param == "local":
        with local(tmp_path / "store", request.getfixturevalue("certificates")) as found:
            yield found
    else:
        with s3(request.getfixturevalue("s3_endpoint")) as found:
            yield found


@pytest.fixture
def opened_local(tmp_path: Path, certificates: Certificates) -> Iterator[Opened]:
    with local(tmp_path / "store", certificates) as found:
        yield found


def test_this_suite_runs_over_every_store_there_is() -> None:
    kinds = {path.stem for path in Path(folder.__path__[0]).glob("*.py") if not path.stem.startswith("_")}
    assert kinds == {LocalStore.KIND, S3Store.KIND}


def test_what_was_put_is_got(opened: Opened, tmp_path: Path) -> None:
    path = some_file(tmp_path / "a.tar.gz", 300_000)
    assert opened.store.size_of(sha256(path)) is None

    opened.put(path)

    assert opened.store.size_of(sha256(path)) == 300_000
    assert opened.get(sha256(path), tmp_path / "got") == path.read_bytes()
    assert opened.visible() == [sha256(path)]


def test_the_house_reads_what_was_put_piece_by_piece(opened: Opened, tmp_path: Path) -> None:
    path = some_file(tmp_path / "rows", 300_000)
    with pytest.raises(Later):
        list(opened.store.pieces(sha256(path)))
    opened.put(path)
    pieces = list(opened.store.pieces(sha256(path)))
    assert b"".join(pieces) == path.read_bytes()
    assert max(map(len, pieces)) <= 1 << 16


def test_a_get_tells_its_length_before_the_first_byte(opened: Opened, tmp_path: Path) -> None:
    path = some_file(tmp_path / "a", 1000)
    opened.put(path)
    answer = opened.ask("GET", opened.store.grant("get", sha256(path), None, 60))
    assert (answer.status_code, answer.headers["Content-Length"]) == (200, "1000")


def test_a_part_that_has_come_is_gone_on_from(opened: Opened, tmp_path: Path) -> None:
    path = some_file(tmp_path / "a", 300_000)
    opened.put(path)
    url, told = opened.store.grant("get", sha256(path), None, 60).url, list[int]()
    part = tmp_path / "b.part"
    part.write_bytes(path.read_bytes()[:100_000])
    download(url, tmp_path / "b", sha256(path), opened.ca_file, told.append, keep_part=True)
    assert (tmp_path / "b").read_bytes() == path.read_bytes()
    assert told[0] > 100_000
    for wrong in (b"x" * 100_000, b"x" * 300_000, b"x" * 400_000, path.read_bytes()):
        part.write_bytes(wrong)
        download(url, tmp_path / "b", sha256(path), opened.ca_file, keep_part=True)
        assert (tmp_path / "b").read_bytes() == path.read_bytes()
        assert not part.exists()


def test_what_was_never_put_is_not_there(opened: Opened, tmp_path: Path) -> None:
    with pytest.raises(SandboxError, match=r"(there is no sandbox|404)"):
        opened.get("a" * 64, tmp_path / "got")
    assert not (tmp_path / "got").exists()
    assert opened.store.size_of("a" * 64) is None
    opened.store.remove("a" * 64)


def test_the_same_sandbox_twice_is_there_once(opened: Opened, tmp_path: Path) -> None:
    path = some_file(tmp_path / "a", LIMIT)
    for _ in range(6):  # more than the store takes of different ones
        opened.put(path)
    assert opened.visible() == [sha256(path)]


def test_what_was_removed_is_gone_and_may_come_again(opened: Opened, tmp_path: Path) -> None:
    path = some_file(tmp_path / "a", 1000)
    opened.put(path)
    opened.store.remove(sha256(path))
    opened.store.remove(sha256(path))
    assert opened.store.size_of(sha256(path)) is None
    opened.put(path)
    assert opened.store.size_of(sha256(path)) == 1000


def test_many_at_once_all_arrive(opened: Opened, tmp_path: Path) -> None:
    same = some_file(tmp_path / "same", 200_000)
    paths = [some_file(tmp_path / f"other{number}", 200_000) for number in range(6)]
    with ThreadPoolExecutor(12) as pool:
        list(pool.map(opened.put, [*paths, *[same] * 6]))
    assert opened.visible() == sorted({sha256(path) for path in [*paths, same]})
    for path in [*paths, same]:
        assert opened.get(sha256(path), tmp_path / "got") == path.read_bytes()


def test_bytes_with_another_digest_are_refused(opened: Opened, tmp_path: Path) -> None:
    path = some_file(tmp_path / "a", 1000)
    if opened.checks_content:
        with pytest.raises(SandboxError, match=f"the SHA-256 of the body is {sha256(path)}, not {'a' * 64}"):
            opened.put(path, digest="a" * 64)
        assert opened.visible() == []
    else:
        opened.put(path, digest="a" * 64)
        with pytest.raises(SandboxError, match="its bytes were changed"):
            opened.get("a" * 64, tmp_path / "got")
        assert not (tmp_path / "got").exists()


@pytest.mark.parametrize("granted", [999, 1001])
def test_another_size_than_was_granted_is_refused(opened: Opened, tmp_path: Path, granted: int) -> None:
    path = some_file(tmp_path / "a", 1000)
    grant = opened.store.grant("put", sha256(path), granted, 60)
    assert opened.ask("PUT", grant, path.read_bytes()).status_code == opened.refuses_larger_than_granted
    assert opened.visible() == []


def test_one_that_is_too_large_is_refused(opened: Opened, tmp_path: Path) -> None:
    path = some_file(tmp_path / "a", LIMIT + 1)
    with pytest.raises((SandboxError, Invalid), match=f"larger than {LIMIT} bytes"):
        opened.put(path)
    assert opened.visible() == []


def test_an_expired_address_is_refused(opened: Opened, tmp_path: Path) -> None:
    path = some_file(tmp_path / "a", 1000)
    opened.put(path)
    put, get = opened.store.grant("put", sha256(path), 1000, 1), opened.store.grant("get", sha256(path), None, 1)
    end = datetime.fromisoformat(get.expires_at).timestamp() + 1.05  # S3 drops the second's fraction
    time.sleep(max(0.0, end - time.time()))  # what is awaited is time itself
    assert opened.ask("GET", get).status_code == 403
    assert opened.ask("PUT", put, path.read_bytes()).status_code == 403


def test_a_grant_tells_when_it_expires(opened: Opened) -> None:
    granted = opened.store.grant("get", "a" * 64, None, 300)
    left = datetime.fromisoformat(granted.expires_at) - datetime.now(UTC)
    assert granted.expires_at.endswith("Z")
    assert 298 <= left.total_seconds() <= 300
    assert granted.url not in repr(granted)


def test_a_tampered_address_is_refused(opened: Opened, tmp_path: Path) -> None:
    path = some_file(tmp_path / "a", 1000)
    opened.put(path)
    grant = opened.store.grant("put", sha256(path), 1000, 60)
    spoilt = [grant.url.replace(sha256(path), "b" * 64), grant.url.split("?", maxsplit=1)[0]]
    for part in urlsplit(grant.url).query.split("&"):
        name, _, value = part.partition("=")
        for other in (f"{name}={value[:-1]}{'1' if value[-1] != '1' else '2'}", f"{name}=", f"{name}=%C3%A9%0A", ""):
            spoilt.append(grant.url.replace(part, other))
    for url in spoilt:
        answer = opened.ask("PUT", grant, path.read_bytes(), url=url)
        assert answer.status_code == 403 if opened.checks_content else not answer.ok, url
    assert opened.visible() == [sha256(path)]


def test_an_address_is_for_one_operation(opened: Opened, tmp_path: Path) -> None:
    path = some_file(tmp_path / "a", 1000)
    get = opened.store.grant("get", sha256(path), None, 60)
    assert opened.ask("PUT", get, path.read_bytes()).status_code == 403
    opened.put(path)
    put = opened.store.grant("put", sha256(path), 1000, 60)
    assert opened.ask("GET", put).status_code == 403
    assert opened.ask("DELETE", put).status_code in {403, 405}
    assert opened.visible() == [sha256(path)]


def test_an_aborted_upload_leaves_nothing(opened: Opened, tmp_path: Path) -> None:
    path = some_file(tmp_path / "a", 500_000)
    grant = opened.store.grant("put", sha256(path), 500_000, 60)
    with connected(opened, grant) as connection:
        connection.sendall(head(grant, "Content-Length: 500000", "Expect: 100-continue"))
        assert connection.recv(1000).startswith(b"HTTP/1.1 100")  # it reads the body from here on
        connection.sendall(path.read_bytes()[:300_000])
        assert opened.store.size_of(sha256(path)) is None
    opened.close()  # lets the last request end
    assert opened.visible() == []


def test_no_digest_is_no_path(opened: Opened) -> None:
    for digest in ("", "a", "A" * 64, "a" * 64 + "\n", "../" + "a" * 61, "/etc/passwd", "..", "é" * 64):
        with pytest.raises(Invalid, match="no SHA-256"):
            opened.store.grant("put", digest, 1, 60)
        assert opened.store.size_of(digest) is None
        opened.store.remove(digest)
    with pytest.raises(Invalid, match="can be put and got"):
        opened.store.grant("delete", "a" * 64, 1, 60)


@contextlib.contextmanager
def connected(opened: Opened, grant: Grant) -> Iterator[socket.socket]:
    """A bare connection to where the grant leads."""
    place = urlsplit(grant.url)
    with socket.create_connection((place.hostname or "", place.port or 0), timeout=20) as plain:
        if place.scheme == "http":
            yield plain
            return
        with ssl.create_default_context(cafile=opened.ca_file).wrap_socket(plain, server_hostname=place.hostname) as secure:
            yield secure


def head(grant: Grant, *lines: str, target: str = "") -> bytes:
    place = urlsplit(grant.url)
    first = [f"PUT {target or f'{place.path}?{place.query}'} HTTP/1.1", f"Host: {place.netloc}"]
    return "\r\n".join([*first, *(f"{name}: {value}" for name, value in grant.headers.items()), *lines, "", ""]).encode()


def test_s3_wants_the_checksum_that_was_granted(s3_endpoint: str, tmp_path: Path) -> None:
    path = some_file(tmp_path / "a", 1000)
    with s3(s3_endpoint) as opened:
        grant = opened.store.grant("put", sha256(path), 1000, 60)
        for headers in ({}, {"x-amz-checksum-sha256": "A" * 43 + "="}):
            spoilt = Grant(grant.url, headers, grant.expires_at)
            assert opened.ask("PUT", spoilt, path.read_bytes()).status_code == 403
        with pytest.raises(Invalid, match="name its size_bytes"):
            opened.store.grant("put", sha256(path), None, 60)
        with pytest.raises(SandboxError, match="answered 403"):
            upload(grant.url, {}, path)


def test_an_s3_service_that_does_not_answer_is_asked_again_later(s3_endpoint: str) -> None:
    store = S3Store("nowhere", f"http://127.0.0.1:{free_port()}")
    with contextlib.closing(store), pytest.raises(Later, match="can not be reached"):
        store.size_of("a" * 64)


def test_without_boto3_one_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "boto3", None)
    with pytest.raises(Invalid, match=r"install pilotbus\[s3\]"):
        S3Store("bucket")


def test_a_local_store_without_a_secret_does_not_start(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="no secret"):
        LocalStore(tmp_path, "https://127.0.0.1:1", "")


def test_a_local_store_that_is_full_says_so_until_there_is_room(opened_local: Opened, tmp_path: Path) -> None:
    paths = [some_file(tmp_path / f"{number}", LIMIT) for number in range(5)]
    for path in paths[:4]:
        opened_local.put(path)
    with pytest.raises(SandboxError, match=f"^the sandbox store is full: it keeps {STORE_LIMIT} bytes at most$"):
        opened_local.put(paths[4])
    opened_local.put(paths[0])  # what is there is still welcome
    assert sha256(paths[4]) not in opened_local.visible()

    opened_local.store.remove(sha256(paths[0]))

    opened_local.put(paths[4])
    assert len(opened_local.visible()) == 4


def test_a_local_store_that_stops_does_not_wait_for_ever_and_keeps_no_half(
    opened_local: Opened, capfd: pytest.CaptureFixture[str]
) -> None:
    grant = opened_local.store.grant("put", "a" * 64, 1000, 60)
    with connected(opened_local, grant) as connection:
        connection.sendall(head(grant, "Content-Length: 1000", "Expect: 100-continue"))
        assert connection.recv(1000).startswith(b"HTTP/1.1 100")
        opened_local.close()
        assert connection.recv(1000).startswith(b"HTTP/1.1 503")
    assert opened_local.visible() == []
    assert "Traceback" not in capfd.readouterr().err


def test_what_is_under_way_takes_room_and_what_failed_gives_it_back(opened_local: Opened, tmp_path: Path) -> None:
    paths = [some_file(tmp_path / f"{number}", LIMIT) for number in range(4)]
    waiting = some_file(tmp_path / "waiting", LIMIT)
    for path in paths[:3]:
        opened_local.put(path)
    grant = opened_local.store.grant("put", sha256(waiting), LIMIT, 60)
    with connected(opened_local, grant) as connection:
        connection.sendall(head(grant, f"Content-Length: {LIMIT}", "Expect: 100-continue"))
        assert connection.recv(1000).startswith(b"HTTP/1.1 100")
        with pytest.raises(SandboxError, match="the sandbox store is full"):
            opened_local.put(paths[3])
        connection.sendall(os.urandom(LIMIT))  # not what was granted
        assert connection.recv(1000).startswith(b"HTTP/1.1 409")
    opened_local.put(paths[3])


def test_a_local_store_starts_with_what_is_there(tmp_path: Path, certificates: Certificates) -> None:
    directory = tmp_path / "store"
    paths = [some_file(tmp_path / f"{number}", LIMIT) for number in range(2)]
    with local(directory, certificates) as before:
        before.put(paths[0])
    abandoned, young = some_file(directory / ".put-old", 100), some_file(directory / ".put-young", 100)
    os.utime(abandoned, (0, 0))
    with local(directory, certificates, store_limit=2 * LIMIT - 1) as after:
        assert after.get(sha256(paths[0]), tmp_path / "got") == paths[0].read_bytes()
        with pytest.raises(SandboxError, match="full"):
            after.put(paths[1])
    assert (abandoned.exists(), young.exists()) == (False, True)


def test_a_full_disk_is_told_and_leaves_nothing_half_written(tmp_path: Path, certificates: Certificates) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)], capture_output=True, text=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip(f"no small disk can be mounted here: {mounted.stderr.strip()}")
    try:
        with local(disk, certificates) as opened:
            with pytest.raises(SandboxError, match=r"^the disk of the sandbox store is full$"):
                opened.put(some_file(tmp_path / "large", 300_000))
            assert opened.visible() == []
            opened.put(some_file(tmp_path / "small", 100_000))
            assert opened.visible() == [sha256(tmp_path / "small")]
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_path_leads_nowhere_but_to_a_sandbox(opened_local: Opened, tmp_path: Path) -> None:
    grant = opened_local.store.grant("put", "a" * 64, 5, 60)
    query = urlsplit(grant.url).query
    for path in (
        "/sandbox/../../x",
        "/sandbox/..%2f..%2fx",
        "/sandbox/%2e%2e",
        "/sandbox/",
        "/x",
        "/sandbox//" + "a" * 64,
        "/" + "A" * 64,
    ):
        with connected(opened_local, grant) as connection:
            connection.sendall(head(grant, "Content-Length: 5", "Connection: close", target=f"{path}?{query}") + b"hello")
            answer = b"".join(iter(lambda: connection.recv(4000), b""))
        assert re.match(rb'HTTP/1\.1 (404|403) [^\0]*\{"reason":', answer), (path, answer)
    assert opened_local.visible() == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["store"]


def test_a_put_without_its_length_is_refused(opened_local: Opened) -> None:
    grant = opened_local.store.grant("put", "a" * 64, None, 60)
    answer = opened_local.ask("PUT", grant, iter([b"hello"]))
    assert (answer.status_code, answer.json()) == (411, {"reason": "a sandbox is put with its Content-Length"})


def test_a_refusal_reaches_whoever_sends_a_large_body_first(opened_local: Opened) -> None:
    grant = opened_local.store.grant("put", "a" * 64, None, 60)
    answer = opened_local.ask("PUT", grant, b"x" * (20 << 20))
    assert (answer.status_code, list(answer.json())) == (413, ["reason"])
    answer = opened_local.ask("PUT", grant, b"x" * (20 << 20), url=grant.url[:-1])
    assert (answer.status_code, answer.json()) == (403, {"reason": "the signature of this address is wrong"})


def test_no_log_shows_a_secret_or_a_signature(
    opened_local: Opened, tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    path = some_file(tmp_path / "a", 1000)
    grant = opened_local.store.grant("put", sha256(path), 1000, 60)
    with caplog.at_level(logging.DEBUG, logger="uvicorn"), structlog.testing.capture_logs() as logged:
        opened_local.ask("PUT", grant, path.read_bytes())
        opened_local.ask("PUT", grant, path.read_bytes(), url=grant.url + "0")
    shown = f"{logged} {caplog.text} {capfd.readouterr()}"
    assert [entry["event"] for entry in logged] == ["sandbox.stored", "sandbox.refused"]
    assert SECRET not in shown
    assert grant.url.partition("signature=")[2] not in shown


def test_a_taken_port_is_told_to_whoever_starts_the_server(
    opened_local: Opened, tmp_path: Path, certificates: Certificates
) -> None:
    port = urlsplit(opened_local.store.grant("get", "a" * 64, None, 1).url).port
    with pytest.raises(OSError, match="in use"):
        serve(opened_local.store.app(), "127.0.0.1", port or 0, certificates.server, certificates.server_key)  # type: ignore[attr-defined]
