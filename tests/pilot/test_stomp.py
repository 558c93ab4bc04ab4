"""stomp: whatever a broker says that is no broker, the connection ends with one sentence."""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pilot.wire.lines import Lines
from pilot.wire.login import login
from pilot.wire.outbox import Outbox
from pilot.wire.session import LoginRefused
from pilot.wire.spool import Spool
from pilot.wire.stomp import Session

Run = Callable[..., str]


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    """Why a session with a broker ends that answers to what it reads, piece by piece, with these bytes."""
    listener = socket.create_server(("127.0.0.1", 0))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(os.environ["PILOTBUS_TLS_CERT"], os.environ["PILOTBUS_TLS_KEY"])
    spool = Spool(tmp_path / "spool")

    def serve(answers: tuple[bytes, ...]) -> None:
        near, _ = listener.accept()
        with contextlib.suppress(OSError), context.wrap_socket(near, server_side=True) as line:
            for answer in answers:
                line.recv(1 << 16)
                line.sendall(answer)
            line.unwrap()

    def session(*answers: bytes) -> str:
        server = threading.Thread(target=serve, args=(answers,))
        server.start()
        url = f"stomps://pilot-p1:secret-token@127.0.0.1:{listener.getsockname()[1]}/v"
        who = login(url, ca_file=os.environ["PILOTBUS_CA_FILE"])
        outbox = Outbox("/pilot-p1/p1", "p1", spool, Lines())
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
