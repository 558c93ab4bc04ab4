"""stomp: whatever a broker says that is no broker, the connection ends with one sentence."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pilot.wire import stomp
from pilot.wire.frames import Frame, Reader, written
from pilot.wire.lines import Lines, Stream
from pilot.wire.login import login
from pilot.wire.outbox import Outbox
from pilot.wire.session import LoginRefused
from pilot.wire.spool import Spool
from pilot.wire.stomp import Session

Run = Callable[..., str]
Answer = bytes | Callable[[bytes], bytes]
BEATING = b"CONNECTED\nversion:1.2\nheart-beat:100,100\n\n\0"


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    """Why a session with a broker ends that answers each frame with the next of these, and then is silent or hangs up."""
    listener = socket.create_server(("127.0.0.1", 0))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(os.environ["PILOTBUS_TLS_CERT"], os.environ["PILOTBUS_TLS_KEY"])
    spool = Spool(tmp_path / "spool")

    def serve(answers: tuple[Answer, ...], hangs_up: bool, heard: list[bytes]) -> None:
        near, _ = listener.accept()
        with contextlib.suppress(OSError), context.wrap_socket(near, server_side=True) as line:
            for answer in answers:
                asked = line.recv(1 << 16)
                line.sendall(answer if isinstance(answer, bytes) else answer(asked))
            if hangs_up:
                line.unwrap()
            while more := line.recv(1 << 16):
                heard.append(more)

    def session(*answers: Answer, hangs_up: bool = True, heard: list[bytes] | None = None) -> str:
        server = threading.Thread(target=serve, args=(answers, hangs_up, heard if heard is not None else []))
        server.start()
        url = f"stomps://pilot-p1:secret-token@127.0.0.1:{listener.getsockname()[1]}/v"
        who = login(url, ca_file=os.environ["PILOTBUS_CA_FILE"])
        outbox = Outbox("/pilot-p1/p1", "p1", spool, Lines())
        outbox.lines.add(Stream(None, None, "pilot"), "hello")
        try:
            return Session(who.brokers[0], who, outbox, lambda: None, lambda _: None).run()
        finally:
            server.join(10)

    yield session
    listener.close()
    spool.close()


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"", "closed the connection"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "is no command of STOMP"),
        (b"MESSAGE\nno colon\n\n\0", "has no colon"),
        (b"MESSAGE\n" + b"a:b\n" * 10_000, "headers have more than 16384 bytes"),
        (b"MESSAGE\ncontent-length:999999999\n\n", "body has more than 262144 bytes"),
        (b"SEND\n\n\0", "nothing that a broker says"),
        (b"CONNECTED\nversion:1.0\n\n\0", "does not speak STOMP 1.2"),
        (b"CONNECTED\nversion:1.2\nheart-beat:now\n\n\0", "is not two numbers"),
    ],
)
def test_what_is_no_broker_is_one_sentence(run: Run, answer: bytes, said: str) -> None:
    told = run(answer)
    assert said in told
    assert "secret-token" not in told


def test_a_refused_login_is_one_line_without_control_characters(run: Run) -> None:
    with pytest.raises(LoginRefused) as caught:
        run(b"ERROR\nmessage:x\n\nno\x1b[31m\r\nway" + b"!" * 2000 + b"\0")
    assert str(caught.value).startswith("the broker refuses the login 'pilot-p1' in 'v': no [31m way!!!")
    assert len(str(caught.value)) < 600


def test_a_broker_that_shows_no_life_is_away_and_is_shown_ours(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stomp, "HEARTBEAT_S", 1)
    heard: list[bytes] = []
    assert run(BEATING, hangs_up=False, heard=heard) == "it has gone silent"
    assert re.search(rb"\0\n{2,4}$", b"".join(heard)), "after the subscription a beat each half second or so"


def test_a_broker_that_confirms_nothing_is_away(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stomp, "UNCONFIRMED_S", 1)

    def receipt(asked: bytes) -> bytes:
        (frame,) = Reader().feed(asked)
        return written(Frame("RECEIPT", {"receipt-id": frame.headers["receipt"]}))

    heard: list[bytes] = []
    quiet = b"CONNECTED\nversion:1.2\n\n\0"
    assert run(quiet, receipt, hangs_up=False, heard=heard) == "it has confirmed nothing for 1 s"
    assert b"/exchange/telemetry/pilot-p1.log.written.v1.p1" in b"".join(heard)
