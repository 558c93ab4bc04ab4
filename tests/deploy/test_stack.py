"""deploy.stack: private servers with TLS and least rights, and nothing of them is left afterwards, whatever happens."""

from __future__ import annotations

import os
import signal
import ssl
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import pika
import pika.exceptions
import psycopg
import pytest
import requests

from bus.publisher import parameters
from deploy import stack
from deploy.process import StackError
from handlers.token.issuer import Issuer

Settings = dict[str, str]
ACCOUNTS = ("PILOTBUS_AMQP_URL", "PILOTBUS_CLIENT_AMQP_URL", "PILOT")
LISTENING, LOOPBACK = "0A", ("0100007F", "00000000000000000000000001000000")


@pytest.fixture(scope="module", autouse=True)
def _no_given_services() -> Iterator[None]:
    """These tests start their own stack even when the others use one that is given."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("PILOTBUS_")]:
            patch.delenv(name)
        patch.setenv("PILOTBUS_STACK_FSYNC", "off")
        yield


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("run")


@pytest.fixture(scope="module")
def settings(root: Path, _no_given_services: None) -> Iterator[Settings]:
    settings = stack.start("tried", root)
    try:
        with connect(settings, "PILOTBUS_AMQP_URL") as connection:
            for exchange in ("ingress", "telemetry", "requests", "events"):
                connection.channel().exchange_declare(exchange, "topic", durable=True)
        yield settings
    finally:
        pids = alive("tried", root)
        stack.stop("tried", root)
        assert len(pids) == 3
        assert not any(runs(pid) for pid in pids)


def url_of(settings: Settings, account: str) -> str:
    """Where and as whom: an address of the settings, or that of pilot p1 with a token."""
    if account != "PILOT":
        return settings[account]
    where = urlsplit(settings["PILOTBUS_PILOT_AMQP_URL"].split(",")[0])
    token = Issuer(settings["PILOTBUS_ISSUER_DIR"], settings["PILOTBUS_DOOR_URL"], "pilotbus").pilot("p1").text
    return urlunsplit(where._replace(netloc=f"pilot-p1:{token}@{where.netloc}"))


def connect(settings: Settings, account: str) -> pika.BlockingConnection:
    return pika.BlockingConnection(parameters(url_of(settings, account), settings["PILOTBUS_CA_FILE"]))


def account_name(settings: Settings, account: str) -> str:
    return urlsplit(url_of(settings, account)).username or ""


def publish(settings: Settings, account: str, exchange: str, key: str) -> None:
    """The message is confirmed, or the broker's refusal is raised."""
    with connect(settings, account) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        channel.basic_publish(exchange, key, b"{}", pika.BasicProperties(user_id=account_name(settings, account)))


def alive(name: str, root: Path) -> list[int]:
    return [server["pid"] for server in stack.status(name, root) if server["pid"] is not None]


def runs(pid: int) -> bool:
    """The process does something; one that only waits to be reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0] != b"Z"
    except OSError:
        return False


def runner(root: Path, name: str, *command: str) -> subprocess.Popen[str]:
    words = [sys.executable, "-m", "deploy.stack", "--root", str(root), "run", "--name", name, "--", *command]
    return subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=Path(stack.__file__).parents[1])


def test_plain_amqp_is_refused(settings: Settings) -> None:
    plain = settings["PILOTBUS_AMQP_URL"].replace("amqps:", "amqp:")
    with pytest.raises(pika.exceptions.AMQPConnectionError):
        pika.BlockingConnection(parameters(plain, settings["PILOTBUS_CA_FILE"]))


def test_a_client_without_the_authority_does_not_trust_the_broker(settings: Settings) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        pika.BlockingConnection(parameters(settings["PILOTBUS_AMQP_URL"], ""))


def test_guest_is_refused(settings: Settings) -> None:
    where = urlsplit(settings["PILOTBUS_AMQP_URL"])
    with pytest.raises(pika.exceptions.ProbableAuthenticationError):
        connect(settings | {"GUEST": f"amqps://guest:guest@{where.hostname}:{where.port}{where.path}"}, "GUEST")


@pytest.mark.parametrize("account", ACCOUNTS)
def test_each_account_connects_over_tls(settings: Settings, account: str) -> None:
    with connect(settings, account) as connection:
        assert connection.is_open


@pytest.mark.parametrize("exchange", ["ingress", "telemetry", "requests"])
def test_a_pilot_publishes_with_its_own_key_only(settings: Settings, exchange: str) -> None:
    publish(settings, "PILOT", exchange, "pilot-p1.pilot.reported.v1.p1")
    with pytest.raises(pika.exceptions.ChannelClosedByBroker, match="403"):
        publish(settings, "PILOT", exchange, "pilotbus.job.submit.v1.1")


@pytest.mark.parametrize("account", ["PILOT", "PILOTBUS_CLIENT_AMQP_URL"])
def test_only_services_publish_trusted_events(settings: Settings, account: str) -> None:
    with pytest.raises(pika.exceptions.ChannelClosedByBroker, match="403"):
        publish(settings, account, "events", f"{account_name(settings, account)}.job.matched.v1.1")
    publish(settings, "PILOTBUS_AMQP_URL", "events", "job.matched.v1.1")


def test_a_user_subscribes_to_events_in_an_own_queue_only(settings: Settings) -> None:
    user = account_name(settings, "PILOTBUS_CLIENT_AMQP_URL")
    with connect(settings, "PILOTBUS_CLIENT_AMQP_URL") as connection:
        channel, queue = connection.channel(), f"subscription.{user}.1"
        channel.queue_declare(queue, exclusive=True)
        channel.queue_bind(queue, "events", "job.done.v1.#")
        publish(settings, "PILOTBUS_AMQP_URL", "events", "job.done.v1.7")
        method, _properties, _body = next(iter(channel.consume(queue, auto_ack=True, inactivity_timeout=5)))
        assert method is not None
        assert method.routing_key == "job.done.v1.7"
        with pytest.raises(pika.exceptions.ChannelClosedByBroker, match="403"):
            connection.channel().queue_declare(f"subscription.{user}x.1", exclusive=True)


def test_a_pilot_gets_a_direct_reply_without_any_right_to_read(settings: Settings) -> None:
    with connect(settings, "PILOTBUS_AMQP_URL") as serving, connect(settings, "PILOT") as asking:
        service, pilot = serving.channel(), asking.channel()
        queue = service.queue_declare("", exclusive=True).method.queue
        service.queue_bind(queue, "requests", "*.match.request.v1.*")
        bodies: list[bytes] = []
        pilot.basic_consume("amq.rabbitmq.reply-to", lambda *delivery: bodies.append(delivery[3]), auto_ack=True)
        question = pika.BasicProperties(reply_to="amq.rabbitmq.reply-to", user_id="pilot-p1")
        pilot.confirm_delivery()
        pilot.basic_publish("requests", "pilot-p1.match.request.v1.p1", b"{}", question)
        _method, properties, _body = next(iter(service.consume(queue, auto_ack=True, inactivity_timeout=5)))
        assert properties is not None
        service.basic_publish("", properties.reply_to, b"here")
        asking.process_data_events(time_limit=5)
        assert bodies == [b"here"]


def test_the_database_takes_the_role_over_tls_with_its_password_only(settings: Settings) -> None:
    dsn = settings["PILOTBUS_DSN"]
    for mode in ("verify-ca", "verify-full"):
        with psycopg.connect(dsn.replace("verify-full", mode), autocommit=True) as database:
            assert database.execute("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()").fetchone() == (True,)
            database.execute("CREATE DATABASE of_a_test")
            database.execute("DROP DATABASE of_a_test")
    for refused in (dsn.replace("sslmode=verify-full", "sslmode=disable"), dsn.replace("pilotbus:", "pilotbus:not-")):
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(refused)


def test_only_the_services_tokens_manage(settings: Settings) -> None:
    issuer = Issuer(settings["PILOTBUS_ISSUER_DIR"], settings["PILOTBUS_DOOR_URL"], "pilotbus")
    url, trusted = f"{settings['PILOTBUS_MANAGEMENT_URL']}/api/vhosts", settings["PILOTBUS_CA_FILE"]
    vhosts = requests.get(url, auth=("-", issuer.management().text), verify=trusted, timeout=10).json()
    assert [vhost["name"] for vhost in vhosts] == ["pilotbus"]
    for account, secret in (("pilotbus", ""), ("guest", "guest"), ("-", issuer.pilot("p1").text)):
        refusal = requests.get(url, auth=(account, secret), verify=trusted, timeout=10)
        assert refusal.status_code == 401


def test_nothing_listens_beyond_this_machine(settings: Settings, root: Path) -> None:
    ports = set(stack.ports("tried", root).values())
    tables = [Path("/proc/net/tcp"), Path("/proc/net/tcp6")]
    sockets = [line.split() for table in tables if table.exists() for line in table.read_text().splitlines()[1:]]
    listening = [words[1].split(":") for words in sockets if words[3] == LISTENING]
    ours = {int(port, 16): address for address, port in listening if int(port, 16) in ports}
    assert len(ours) == len(ports) - 1, "all but the HTTP port, which a service opens"
    assert set(ours.values()) <= set(LOOPBACK)


def test_secrets_are_private_and_a_client_sees_only_its_own(settings: Settings, root: Path) -> None:
    for name in ("secrets.json", "services.env", "client.env", "pilot.env", "certificates/server.key"):
        assert stat.S_IMODE((root / "tried" / name).stat().st_mode) == 0o600, name
    assert stack.read_settings(root / "tried" / "services.env") == settings
    for name, key in (("client.env", "PILOTBUS_CLIENT_AMQP_URL"), ("pilot.env", "PILOTBUS_PILOT_AMQP_URL")):
        known = stack.read_settings(root / "tried" / name)
        assert known == {name: settings[name] for name in (key, "PILOTBUS_CA_FILE", "PILOTBUS_DOOR_URL")}


def test_a_stack_that_is_up_is_used_by_the_next_start_and_refused_to_a_run(settings: Settings, root: Path) -> None:
    before = alive("tried", root)
    assert stack.start("tried", root) == settings
    assert alive("tried", root) == before
    with pytest.raises(StackError, match="is up already"):
        stack.run("tried", ["true"], root)
    assert alive("tried", root) == before


def test_what_a_killed_runner_left_is_cleaned_and_a_signal_stops_everything(tmp_path: Path) -> None:
    killed = runner(tmp_path, "killed", "sh", "-c", "echo ready; read forever")
    assert killed.stdout is not None
    assert killed.stdout.readline() == "ready\n"
    left = alive("killed", tmp_path)
    killed.kill()
    killed.communicate()
    assert alive("killed", tmp_path) == left
    assert len(left) == 3

    ended = runner(tmp_path, "killed", "sh", "-c", "echo ready; read forever")
    assert ended.stdout is not None
    assert ended.stdout.readline() == "ready\n"
    fresh = alive("killed", tmp_path)
    assert not set(left) & set(fresh)
    assert not any(runs(pid) for pid in left)
    ended.send_signal(signal.SIGTERM)
    ended.communicate()
    assert ended.returncode == 128 + signal.SIGTERM
    assert not any(runs(pid) for pid in fresh)


def test_a_start_that_fails_half_way_names_the_log_and_leaves_nothing(tmp_path: Path) -> None:
    broken = tmp_path / "broken" / "postgres"
    broken.mkdir(parents=True)
    (broken / "pilotbus-made").touch()
    with pytest.raises(StackError, match=r"postgres died while it was starting; its log is .*/broken/postgres\.log"):
        stack.start("broken", tmp_path)
    assert [server["state"] for server in stack.status("broken", tmp_path)] == ["stopped"] * 3


def test_given_services_are_used_and_the_exit_code_is_the_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PILOTBUS_DSN", "postgresql://elsewhere/")
    monkeypatch.setenv("PILOTBUS_AMQP_URL", "amqps://elsewhere/")
    for kind in ("CLIENT", "PILOT"):
        monkeypatch.delenv(f"PILOTBUS_{kind}_AMQP_URL", raising=False)
    with pytest.raises(StackError, match="PILOTBUS_CLIENT_AMQP_URL is not set"):
        stack.run("given", ["true"], tmp_path)
    monkeypatch.setenv("PILOTBUS_CLIENT_AMQP_URL", "amqps://ada@elsewhere/")
    monkeypatch.setenv("PILOTBUS_PILOT_AMQP_URL", "amqps://pilot@elsewhere/")
    said = 'test "$PILOTBUS_DSN" = postgresql://elsewhere/ && test -n "$PILOTBUS_SANDBOX_URL" && exit 7'
    assert stack.run("given", ["sh", "-c", said], tmp_path) == 7
    assert not (tmp_path / "given" / "pids").exists()
