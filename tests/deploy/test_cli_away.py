"""Every verb that talks, with the broker away, with the database away, and without rights: a sentence and a code."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from bus.runner import Runner
from deploy.main import VERBS, application, serve
from tests.bus.test_client import cut
from tests.bus.test_life_of_an_event import until
from tests.fix_broker import Vhost
from tests.fix_house import Spawn

SITE = '{"site": "CLOUD.CNIC.cn", "status": "active"}'
ASKING = {
    "submit": "submit a.jdl --patience 1",
    "status": "status --json",
    "wait": "wait 1 --json",
    "output": "output 1 --json",
    "logs": "logs 1 --json",
    "peek": "peek 1 --wait 1 --json",
    "why": "why 1 --json",
    "kill": "kill 1 --json",
    "reschedule": "reschedule 1 --json",
    "delete": "delete 1 --json",
    "jobs": "jobs --json",
    "job": "job 1 --json",
    "groups": "groups --json",
    "whoami": "whoami --json",
    "users": "users --json",
    "limits": "limits --json",
    "shares": "shares --json",
    "proxy": "proxy list --json",
    "ban": "ban user trudy --reason stolen",
    "unban": "unban user trudy",
    "security": "security --json",
    "who_ran": "who-ran node1 2026-11-21T00:00:00Z --json",
    "pilots": "pilots --json",
    "drain": "drain p1",
    "stop": "stop p1",
    "log_level": "log-level p1 debug",
    "parking": "parking list --json",
}
SAYING = {"subscribe": "subscribe #", "publish_event": f"publish-event site.described.v1 {SITE.replace(' ', '')}"}
# they speak with the door, with processes of this machine, or with nobody
ELSEWHERE = {"login", "pilot", "pilot_wrapper", "pilot_verify", "keys", "graph", "up", "down", "ps", "run"}
OPERATORS = ("users", "limits", "ban", "unban", "security", "who_ran", "drain", "stop", "log_level", "parking")

Verb = Callable[[str], tuple[int, str, str]]


@pytest.fixture
def verb(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Verb:
    """A verb in this process, and what it said; nobody waits longer than a second for a reply."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("bus.client.ASK_WITHIN_S", 1.0)
    monkeypatch.setattr("bus.selections.ANSWER_WITHIN_S", 1.0)
    (tmp_path / "a.jdl").write_text('Executable = "/bin/true"; MinRAM = 900000;')

    def run(line: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = serve(application(), line.split(" "))
        told = capsys.readouterr()
        return code, told.out, told.err

    return run


@pytest.fixture
def as_account(monkeypatch: pytest.MonkeyPatch, vhost: Vhost) -> Callable[[str], None]:
    """From now on this person sits here; without a name, an operator."""

    def sit(account: str) -> None:
        monkeypatch.setenv("PILOTBUS_CLIENT_AMQP_URL", vhost.person(account) if account else vhost.client_url)
        monkeypatch.setenv("PILOTBUS_CA_FILE", vhost.ca_file)

    return sit


def test_every_verb_is_here() -> None:
    assert {*ASKING, *SAYING, *ELSEWHERE} == set(VERBS)


@pytest.mark.parametrize("line", [*ASKING.values(), *SAYING.values()])
def test_a_broker_that_is_away_is_told(verb: Verb, monkeypatch: pytest.MonkeyPatch, line: str) -> None:
    monkeypatch.setenv("PILOTBUS_CLIENT_AMQP_URL", "amqp://ada:x@127.0.0.1:1/")
    code, out, err = verb(line)
    assert (code, out) == (5, "")
    assert err.startswith("pilotbus: no broker answers at 127.0.0.1:1")
    assert len(err.splitlines()) == 1


@pytest.fixture
def without_database(spawn: Spawn, test_dsn: str, dsn: str) -> Iterator[None]:
    """The services run, and their database lets nobody in."""
    spawn()
    name = conninfo_to_dict(test_dsn)["dbname"]
    with psycopg.connect(dsn, autocommit=True) as admin:
        admin.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
        admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,))
        yield
        admin.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')


def test_a_database_that_is_away_is_told_by_every_verb_that_asks(
    verb: Verb, as_account: Callable[[str], None], without_database: None
) -> None:
    as_account("")
    told = {line: verb(line) for line in ASKING.values()}
    assert {line: (code, out) for line, (code, out, _) in told.items()} == dict.fromkeys(told, (5, ""))
    for line, (_, _, err) in told.items():
        assert len(err.strip().splitlines()) == 1, (line, err)
        assert "no service has answered" in err, (line, err)
    assert "the same key, " in told[ASKING["submit"]][2]


def test_who_has_no_rights_is_told_and_gets_nothing(
    verb: Verb, as_account: Callable[[str], None], house: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bus.client.ASK_WITHIN_S", 30.0)
    monkeypatch.setattr("bus.selections.ANSWER_WITHIN_S", 30.0)
    as_account("ada")
    code, out, err = verb("submit a.jdl")
    assert (code, out) == (0, "1\n"), err
    as_account("mallory")
    for name in OPERATORS:
        code, out, err = verb(ASKING[name])
        assert (code, out, len(err.splitlines())) == (4, "", 1), (name, code, err)
    for name in ("wait", "output", "logs", "peek", "why", "job"):
        code, out, err = verb(ASKING[name])
        assert (code, out, len(err.splitlines())) == (3, "", 1), (name, code, err)
        assert "no job 1" in err or "no such job" in err
    for name in ("kill", "reschedule", "delete"):
        code, _, err = verb(f"{name} 1")
        assert (code, "you have no such job" in err) == (6, True), err
        code, out, err = verb(f"{name} --group NoGroup")
        assert (code, out, "there are no such jobs" in err) == (3, "", True), err
    for name in ("jobs", "groups"):
        assert verb(ASKING[name])[:2] == (0, "[]\n")
    assert verb("subscribe #")[0] == 4
    assert verb("status --json")[:2] == (0, "[]\n")


def test_a_wait_at_the_command_line_outlives_the_broker(
    verb: Verb, as_account: Callable[[str], None], house: Runner, vhost: Vhost, db: psycopg.Connection[object]
) -> None:
    as_account("ada")
    assert verb("submit a.jdl")[:2] == (0, "1\n")
    until(lambda: db.execute("SELECT state FROM job.jobs").fetchone() == ("Waiting",))
    ended: list[int] = []
    waiting = threading.Thread(target=lambda: ended.append(serve(application(), ["wait", "1", "--timeout", "100"])))
    waiting.start()
    cut(vhost, "ada")
    db.execute("UPDATE job.jobs SET state = 'Done', version = version + 1")  # no event tells it
    waiting.join(timeout=100)
    assert ended == [0]
    code, out, err = verb("wait 1 --json")
    assert (code, '"counts": {"Done": 1}' in out) == (0, True), err
