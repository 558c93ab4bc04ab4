"""dial: through the HTTP proxy of the environment or of a flag, to the broker, the door and the store."""

from __future__ import annotations

import socket
import threading
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from pilot.wire.dial import NoWay, Proxy, tunnel
from tests.pilot.conftest import BOTH, Proxies, Start
from tests.pilot.counterpart import Services, Store
from tests.pilot.jobs import Jobs
from tests.pilot.test_life import last


@BOTH
def test_broker_and_store_are_reached_through_the_proxy(
    proxies: Proxies, services: Services, store: Store, start: Start, pilot_url: str
) -> None:
    jobs, between = Jobs(services, store), proxies("me:s3cr%t-of-proxy")
    job = jobs.add("/bin/echo", "hi", OutputSandbox=["std.out"])
    pilot = start("--max-jobs", "1", https_proxy=f"http://me:s3cr%25t-of-proxy@{between.address}")
    assert last(services, job)["state"] == "Done"
    _, said = pilot.communicate(timeout=30)
    assert "s3cr" not in said
    places = {f"127.0.0.1:{urlsplit(url).port}" for url in (pilot_url, store.grant({"data": {"digest": "x"}})["url"])}
    assert between.asked() == places


@BOTH
def test_no_proxy_and_the_flag_lead_past_it(
    proxies: Proxies, services: Services, start: Start, tmp_path_factory: pytest.TempPathFactory
) -> None:
    second = tmp_path_factory.mktemp("second")
    between = proxies()
    variable = {"https_proxy": f"http://{between.address}"}
    services.answers["match.request.v1"] = lambda _: {"job": None}
    pilots = [
        start("--idle-limit", "1", "--name", "p1", no_proxy="127.0.0.1", **variable),
        start("--idle-limit", "1", "--name", "p1", "--proxy", "none", "--workdir", str(second), **variable),
    ]
    assert [pilot.wait(30) for pilot in pilots] == [0, 0]
    assert between.asked() == set()


@BOTH
def test_a_proxy_that_refuses_is_one_sentence(proxies: Proxies, start: Start, tmp_path: Path) -> None:
    between = proxies("me:x")
    (tmp_path / "pilot.json").write_text('{"connect_limit": 1}')
    pilot = start("--config", str(tmp_path / "pilot.json"), "--proxy", f"http://{between.address}")
    _, said = pilot.communicate(timeout=30)
    assert pilot.returncode == 4
    assert f"the proxy {between.address} does not connect to 127.0.0.1:" in said
    assert "407 Proxy Authentication Required" in said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("flags", "environment", "said"),
    [
        (["--proxy", "socks5://host:1"], {}, "wants http://host:port"),
        (["--proxy", "http://host:port"], {}, "not well formed"),
        (["--proxy", "http://me:hidden@host:1"], {}, "every user of this node can read"),
        ([], {"https_proxy": "https://me:hidden@host:1"}, "wants http://host:port"),
    ],
)
def test_a_bad_proxy_is_one_sentence_without_its_password(
    start: Start, flags: list[str], environment: dict[str, str], said: str
) -> None:
    pilot = start(*flags, **environment)
    _, told = pilot.communicate(timeout=30)
    assert pilot.returncode == 2
    assert said in told
    assert "hidden" not in told
    assert "Traceback" not in told


@pytest.mark.parametrize("answer", [b"", b"SSH-2.0-x\r\n", b"x" * 20_000, b"HTTP/1.1 2000 no\r\n\r\n"])
def test_what_is_no_proxy_is_not_believed(answer: bytes) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        thread = threading.Thread(target=_answer, args=(theirs, answer), daemon=True)
        thread.start()
        with pytest.raises(NoWay, match="the proxy host:1 does not"):
            tunnel(ours, Proxy("host", 1), "broker", 443)
        thread.join(timeout=10)


def _answer(end: Any, answer: bytes) -> None:
    end.recv(1 << 16)
    end.sendall(answer)
    end.shutdown(socket.SHUT_RDWR)
