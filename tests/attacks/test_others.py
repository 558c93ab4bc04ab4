"""Nobody, a user, a dashboard, an insider with a dump, and an extension: each tries what is not its own."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import os
import re
import socket
import ssl
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jwt
import pika
import pika.exceptions
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from bus.client import Client
from bus.errors import Refused
from bus.login import login
from bus.publisher import parameters
from deploy import certificates
from deploy.verbs.common import safe
from handlers.token.issuer import ALGORITHM
from tests.attacks.rows import attack
from tests.attacks.thief import Field, Stomp

Unharmed = Callable[..., None]
LISTENERS = ("PILOTBUS_AMQP_URL", "PILOTBUS_STOMP_URL", "PILOTBUS_MANAGEMENT_URL")
SERVICE = "pilotbus"


def place(variable: str) -> tuple[str, int]:
    """Where the broker listens."""
    where = urlsplit(os.environ[variable])
    return where.hostname or "", where.port or 0


def lets_in(url: str, field: Field) -> bool:
    """Whether the broker lets this one in, by AMQP or by STOMP."""
    with contextlib.suppress(PermissionError, OSError):
        Stomp(url, field.stomp_url, field.vhost.ca_file).close()
        return True
    with contextlib.suppress(pika.exceptions.AMQPError, OSError):
        pika.BlockingConnection(parameters(url, field.vhost.ca_file)).close()
        return True
    return False


@attack("nobody", "speaks without TLS")
@pytest.mark.parametrize("variable", LISTENERS)
@pytest.mark.parametrize(
    "greeting", [b"AMQP\x00\x00\x09\x01", b"CONNECT\naccept-version:1.2\nhost:/\n\n\x00", b"GET / HTTP/1.0\r\n\r\n"]
)
def test_nothing_is_spoken_without_tls(variable: str, greeting: bytes) -> None:
    with socket.create_connection(place(variable), timeout=5) as plain:
        plain.sendall(greeting)
        plain.settimeout(5)
        with contextlib.suppress(ConnectionError):
            answer = plain.recv(100)
            assert answer[:1] in (b"", b"\x15"), "nothing, or a TLS alert"


@attack("nobody", "speaks an old TLS")
@pytest.mark.filterwarnings("ignore:.*TLSVersion.*:DeprecationWarning")
@pytest.mark.parametrize("variable", LISTENERS)
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
def test_an_old_tls_is_refused(variable: str, version: ssl.TLSVersion) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(os.environ["PILOTBUS_CA_FILE"])
    context.minimum_version = context.maximum_version = version
    context.set_ciphers("ALL:@SECLEVEL=0")
    host, port = place(variable)
    with socket.create_connection((host, port), timeout=5) as plain, pytest.raises(OSError):
        context.wrap_socket(plain, server_hostname=host)


@attack("nobody", "knocks at MQTT and at AMQP 1.0")
@pytest.mark.parametrize(
    "greeting", [b"\x10\x0c\x00\x04MQTT\x04\x02\x00\x3c\x00\x00", b"AMQP\x03\x01\x00\x00", b"AMQP\x00\x01\x00\x00"]
)
def test_other_protocols_are_not_served(field: Field, greeting: bytes) -> None:
    context = ssl.create_default_context(cafile=field.vhost.ca_file)
    host, port = place("PILOTBUS_AMQP_URL")
    version = [int(part) for part in field.vhost.call("GET", "overview")["rabbitmq_version"].split(".")[:2]]
    with socket.create_connection((host, port), timeout=5) as plain, context.wrap_socket(plain, server_hostname=host) as secured:
        secured.sendall(greeting)
        answer = secured.recv(8)
    # RabbitMQ 4 always speaks AMQP 1.0, and asks for a login first
    assert answer in (b"", b"AMQP\x00\x00\x09\x01") or (version[0] >= 4 and answer[:5] == b"AMQP\x03")


@pytest.fixture
def authority(field: Field) -> certificates.Certificates:
    """The stack's own authority, which vouches for whomever the test wants."""
    return certificates.ensure(Path(field.vhost.ca_file).parent)


@attack("nobody", "logs in as the services")
@pytest.mark.parametrize("what", ["no certificate", "foreign", "expired", "revoked", "unknown name", "password", "guest"])
def test_the_services_account_wants_its_certificate(
    field: Field, authority: certificates.Certificates, tmp_path: Path, what: str
) -> None:
    pair = certificates.Pair(tmp_path / "shown.pem", tmp_path / "shown.key")
    where = login(field.vhost.service_url)
    shown = f"amqps://{SERVICE}@{where.host}:{where.port}/{where.vhost}?certfile={pair.certificate}&keyfile={pair.key}"
    day = dt.timedelta(days=1)
    if what == "foreign":
        certificates.issue(certificates.ensure(tmp_path / "other"), SERVICE, pair)
    elif what == "expired":
        certificates.issue(authority, SERVICE, pair, begins=-2 * day, valid=-day)
    elif what == "revoked":
        certificates.issue(authority, SERVICE, pair)
        assert lets_in(shown, field), "it is good until it is revoked"
        certificates.revoke(authority, pair.certificate)
    elif what == "unknown name":
        certificates.issue(authority, "nobody-knows", pair)
    else:
        secret = {"no certificate": "", "password": "pilotbus", "guest": "guest"}[what]
        shown = field.vhost.as_account("guest" if what == "guest" else SERVICE, secret or "x")
    assert not lets_in(shown, field)


def token(field: Field, headers: dict[str, str] | None = None, **changes: Any) -> str:
    """A pilot's token with other claims, signed by the issuer's own key unless another is given."""
    kid, key = list(field.vhost.issuer._current().items())[-1]
    claims = jwt.decode(field.vhost.issuer.pilot("p1").text, options={"verify_signature": False})
    signer = changes.pop("key", key)
    return jwt.encode(claims | changes, signer, changes.pop("alg", ALGORITHM), headers={"kid": kid} | (headers or {}))


@attack("nobody", "logs in with a token that is none of ours, or not any more")
@pytest.mark.parametrize(
    "what", ["foreign key", "expired", "audience", "unknown kid", "path as kid", "none", "a payload's", "100 KB"]
)
def test_the_broker_believes_only_our_tokens(field: Field, what: str) -> None:
    past = int(dt.datetime.now(dt.UTC).timestamp()) - 60
    made: dict[str, Callable[[], str]] = {
        "foreign key": lambda: token(field, key=ec.generate_private_key(ec.SECP256R1())),
        "expired": lambda: token(field, exp=past),
        "audience": lambda: token(field, aud="somebody"),
        "unknown kid": lambda: token(field, {"kid": "unknown"}),
        "path as kid": lambda: token(field, {"kid": "../../../etc/passwd"}),
        "none": lambda: jwt.encode({"sub": "pilot-p1", "aud": "pilotbus", "scope": ["pilotbus.write:*/*"]}, "", "none"),
        "a payload's": lambda: field.vhost.issuer.job("p1", 1, 2, "ann", "bes_user", "bes").text,
        "100 KB": lambda: token(field, key=ec.generate_private_key(ec.SECP256R1()), junk="x" * 100_000),
    }
    assert lets_in(field.vhost.as_account("pilot-p1", token(field)), field), "an honest one is let in"
    assert not lets_in(field.vhost.as_account("pilot-p1", made[what]()), field)


@pytest.fixture
def ann(field: Field) -> Iterator[Client]:
    """A user of community bes."""
    with Client(field.vhost.person("ann"), field.vhost.ca_file) as client:
        yield client


SUBMISSION = "8d3f0f6e-2c37-4f0e-9a53-3f8d1f7f0a01"
USERS: dict[str, tuple[str, dict[str, Any]]] = {
    "see": ("job.query.v1", {"job_ids": [2]}),
    "see all of its owner": ("job.query.v1", {"owner": "ben"}),
    "see all of its group": ("job.query.v1", {"owner_group": "lhcb_user"}),
    "kill": ("job.kill.v1", {"job_ids": [2]}),
    "fetch": ("sandbox.grant.v1", {"operation": "get", "which": "output", "job_id": 2}),
    "read its log": ("log.read.v1", {"job_id": 2}),
    "submit in a group that is not one's own": (
        "job.submit.v1",
        {"submission": SUBMISSION, "owner_group": "lhcb_admin", "description": {"Executable": "/bin/true"}},
    ),
    "write out of the work directory": (
        "job.submit.v1",
        {"submission": SUBMISSION, "description": {"Executable": "/bin/true", "StdOutput": "../../stolen"}},
    ),
    "submit half a sweep": (
        "job.submit.v1",
        {"submission": SUBMISSION, "description": {"Executable": "/bin/true", "Parameters": 2000}},
    ),
    "speak as a pilot": (
        "match.request.v1",
        {"request_id": SUBMISSION, "pilot_id": "p1", "wait_s": 0, "resource": {"Site": "A", "CPUTime": 1}},
    ),
    "ban": ("security.ban.v1", {"kind": "user", "name": "ben", "reason": "x"}),
    "invite pilots": ("pilot.invite.v1", {"site": "CLOUD.CNIC.cn"}),
    "replay what is parked": ("parking.replay.v1", {"parked_id": 1}),
    "ask who ran where": ("security.who_ran.v1", {"host": "x", "at": "2026-01-01T00:00:00Z"}),
    "list another's proxies": ("proxy.list.v1", {"account": "ben"}),
}


@attack("user", "another's job, another's right")
@pytest.mark.parametrize("what", USERS)
def test_a_user_gets_nothing_of_anothers(ann: Client, unharmed: Unharmed, what: str) -> None:
    kind, data = USERS[what]
    try:
        told = ann.ask(kind, data)
    except Refused as refusal:
        assert refusal.code in ("denied", "not_found", "invalid")
    else:
        shown = told.get("jobs", []) if "jobs" in told else [r for r in told.get("results", []) if r["outcome"] != "refused"]
        assert shown == [], told
    unharmed()


INJECTIONS = [
    "'; DROP TABLE job.jobs; --",
    "$(touch /tmp/pilotbus-injected)",
    "`id`",
    "a.b.#",
    "../../../etc/passwd",
    "%n%s%x",
    "\x1b[2J",
]


@attack("user", "injects into SQL, shell, routing keys, paths")
@pytest.mark.parametrize("text", INJECTIONS)
def test_words_of_users_are_only_words(field: Field, ann: Client, text: str) -> None:
    described = {"Executable": "/bin/echo", "Arguments": text, "JobName": "n", "JobGroup": "g", "Site": "CLOUD.CNIC.cn"}
    before = field.db.execute("SELECT count(*) FROM job.jobs").fetchone()
    with contextlib.suppress(Refused):
        ann.ask("job.submit.v1", {"submission": str(uuid.uuid4()), "description": described | {"JobName": text}})
    with contextlib.suppress(Refused):
        job_id = ann.ask("job.submit.v1", {"submission": str(uuid.uuid4()), "description": described})["first_job_id"]
        assert ann.ask("job.kill.v1", {"job_ids": [job_id]})["results"][0]["outcome"] == "killed"
    assert (field.db.execute("SELECT count(*) FROM job.jobs").fetchone() or (0,))[0] >= (before or (0,))[0]
    assert not Path("/tmp/pilotbus-injected").exists()


@attack("pilot's payload", "draws on the terminal of whoever reads its log")
def test_control_characters_are_shown_and_not_obeyed() -> None:
    hostile = "\x1b]0;owned\x07\x1b[2J\r\n=cmd()|'x'\u202e<script>"
    assert not re.search(r"[\x00-\x1f\x7f\u202e]", safe(hostile))


@attack("dashboard", "follows another's, another community's, or all events")
@pytest.mark.parametrize("key", ["#", "job.#", "of.ben.#", "of.*.job.#", "*.ann.#", "in.lhcb.#", "of.ann.#.#", "of.annie.#"])
def test_a_dashboard_follows_only_its_own(field: Field, key: str) -> None:
    with Client(field.vhost.person("ann", "bes"), field.vhost.ca_file) as client:
        client.follow("of.ann.#", "in.bes.job.#")
        if key == "of.ann.#.#":
            client.follow(key)
            return
        with pytest.raises(Refused, match="may not follow"):
            client.follow(key)


@attack("dashboard", "writes what others would believe")
@pytest.mark.parametrize("exchange", ["events", "amq.topic", "telemetry", ""])
def test_a_dashboard_writes_nothing(field: Field, unharmed: Unharmed, exchange: str) -> None:
    connection = pika.BlockingConnection(parameters(field.vhost.person("ann"), field.vhost.ca_file))
    channel = connection.channel()
    channel.confirm_delivery()
    with pytest.raises(pika.exceptions.ChannelClosedByBroker, match="403"):
        channel.basic_publish(exchange, "job.report", b"{}", pika.BasicProperties(user_id="ann"))
    connection.close()
    unharmed()


@attack("insider with a dump", "looks for secrets, tokens and keys")
def test_a_dump_of_the_database_holds_no_secret(field: Field, unharmed: Unharmed) -> None:
    with Client(field.vhost.client_url, field.vhost.ca_file) as operator:
        secrets = [pilot["secret"] for pilot in operator.ask("pilot.invite.v1", {"site": "CLOUD.CNIC.cn", "count": 3})["pilots"]]
    with Client(field.vhost.pilot("p1"), field.vhost.ca_file) as pilot:
        secrets.append(pilot.ask("token.renew.v1", {"pilot_id": "p1"})["token"])
        secrets.append(pilot.ask("token.job.v1", {"pilot_id": "p1", "job_id": 1, "attempt": 2})["token"])
    ours = "schemaname NOT IN ('pg_catalog', 'information_schema')"
    tables = field.db.execute(f"SELECT schemaname || '.' || quote_ident(tablename) FROM pg_tables WHERE {ours}").fetchall()
    for (table,) in tables:
        text = json.dumps(field.db.execute(f"SELECT * FROM {table}").fetchall(), default=repr)
        for secret in secrets:
            assert secret not in text, table
        assert "eyJ" not in text, table
        assert "PRIVATE KEY" not in text, table
    field.db.execute("DELETE FROM trust.enrolments WHERE enrolled_at IS NULL")
