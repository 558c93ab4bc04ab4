"""A stolen pilot is worth nothing beyond itself: it is P1 and tries to be P2, to take what is P2's, to break what is shared."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from typing import Any

import pika.exceptions
import pytest
from psycopg.types.json import Json

from bus.event import Event
from schemas import catalogue, key_of
from tests.attacks.rows import attack
from tests.attacks.thief import REFUSED, TAKEN, Amqp, Field, Message, Stomp, Thief, message

NODE = {"Site": "CLOUD.CNIC.cn", "CPUTime": 500_000, "NumberOfProcessors": 4, "MaxRAM": 4000}
WORD = {"pilot_id": "p1", "site": "CLOUD.CNIC.cn", "phase": "asking", "number": 99}
DONE = {"job_id": 1, "attempt": 2, "pilot_id": "p1", "state": "Done", "minor_status": "Execution Complete"}
LINES = [{"at": "2026-01-01T00:00:00Z", "text": "forged"}]
LOG = {"pilot_id": "p1", "job_id": 1, "attempt": 2, "stream": "std.out", "first_number": 1, "lines": LINES}
VICTIM = "pilot-p2.pilot.reported.v1.p2"

WORDS = catalogue()
Unharmed = Callable[..., None]


def event(kind: str, data: dict[str, Any], subject: object = "", source: str = "/pilot-p1/p1") -> Event:
    """What the thief says."""
    return Event(kind, source, str(subject or data.get(key_of(WORDS[kind]) or "", data.get("job_id", "_"))), data)


def said(kind: str, data: dict[str, Any], **more: Any) -> Message:
    """Well formed, in the thief's own name."""
    return message("telemetry" if kind.startswith("log.") else "ingress", event(kind, data, **more), "pilot-p1")


def asked(kind: str, data: dict[str, Any]) -> Message:
    """A request, in the thief's own name."""
    return message("requests", event(kind, data), "pilot-p1")


def fresh() -> str:
    """A new id."""
    return str(uuid.uuid4())


OWN = said("pilot.reported.v1", WORD)
AS_P2 = event("pilot.reported.v1", WORD | {"pilot_id": "p2"}, source="/pilot-p2/p2")
AT_THE_BROKER = {
    "P2's routing key": OWN.but(routing_key=VICTIM, body=AS_P2.to_json()),
    "user_id of P2": OWN.but(user_id="pilot-p2"),
    "user_id of the services": OWN.but(user_id="pilotbus"),
    "straight to the trusted exchange": OWN.but(exchange="events", routing_key="job.done.v1.2"),
    "by amq.direct": OWN.but(exchange="amq.direct", routing_key="job.report"),
    "by amq.topic": OWN.but(exchange="amq.topic"),
    "a body of 16 MB": OWN.but(body=b"x" * (16 << 20)),
}
AT_THE_GATE = {
    "a routing key of 300 bytes": OWN.but(routing_key="pilot-p1." + "x" * 300),
    "no user_id": OWN.but(user_id=None),
    "source of P2": OWN.but(body=event("pilot.reported.v1", WORD, source="/pilot-p2/p2").to_json()),
    "subject of P2": said("pilot.reported.v1", WORD, subject="p2"),
    "pilot_id of P2 in the body": said("pilot.reported.v1", WORD | {"pilot_id": "p2"}, subject="p2"),
    "another site than it enrolled at": said("pilot.reported.v1", WORD | {"site": "GRID.JINR.ru"}),
    "CC to P2's key": OWN.but(headers={"CC": [VICTIM]}, body=AS_P2.to_json()),
    "BCC to P2's key": OWN.but(headers={"BCC": [VICTIM]}, body=AS_P2.to_json()),
    "a forged x-death": OWN.but(headers={"x-death": "forged"}, body=AS_P2.to_json()),
    "a trusted event's type": said("job.done.v1", {"job_id": 2, "attempt": 2, "minor_status": "x"}),
    "an operator's event": said("site.described.v1", {"site": "GRID.JINR.ru", "status": "banned"}, subject="GRID_JINR_ru"),
    "a clock a thousand years ahead": OWN.but(body=OWN.body.replace(b'"time":"2', b'"time":"3')),
    "a log line of P2": said("log.written.v1", LOG | {"pilot_id": "p2"}),
    "NaN": OWN.but(body=OWN.body.replace(b'"number":99', b'"number":NaN')),
    "a number beyond all bounds": OWN.but(body=OWN.body.replace(b'"number":99', b'"number":1e999')),
    "a name twice": OWN.but(body=OWN.body.replace(b'"number":99', b'"number":99,"number":1')),
    "deep nesting": OWN.but(body=b"[" * 20_000),
    "half a surrogate": OWN.but(body=OWN.body.replace(b'"asking"', b'"\\ud800"')),
    "NUL": OWN.but(body=OWN.body.replace(b'"asking"', b'"\\u0000"')),
    "a bomb in gzip": OWN.but(body=b"\x1f\x8b" + b"\0" * 1000, headers={"compression": "application/x-gzip"}),
    "no JSON": OWN.but(body=b"\xff\xfe"),
}


@attack("stolen pilot", "speaks as others, or too loud: at the broker")
@pytest.mark.parametrize("what", AT_THE_BROKER)
def test_the_broker_does_not_take_it(thief: Thief, unharmed: Unharmed, what: str) -> None:
    assert thief.send(AT_THE_BROKER[what]) == REFUSED
    unharmed()


@attack("stolen pilot", "speaks as others, or nonsense: at the gate", alarm=True)
@pytest.mark.parametrize("what", AT_THE_GATE)
def test_the_gate_refuses_it_and_says_so(thief: Thief, unharmed: Unharmed, protocol: str, what: str) -> None:
    sent = thief.send(AT_THE_GATE[what])
    # in STOMP a header is a text, and RabbitMQ takes no CC that is one; in AMQP a key has 255 bytes at most
    by_the_broker = ("CC" in what and protocol == "stomp") or ("300" in what and protocol == "amqp")
    assert sent == (REFUSED if by_the_broker else TAKEN)
    # by STOMP such a key is cut, and then leads to no queue
    unharmed(alarm=not by_the_broker and "300" not in what)


REPORTS = {
    "a job of P2": DONE | {"job_id": 2},
    "an old attempt": DONE | {"attempt": 1},
    "an attempt to come": DONE | {"attempt": 3},
    "a finished job": DONE | {"job_id": 3, "state": "Failed"},
    "a job that does not exist": DONE | {"job_id": 999},
}


@attack("stolen pilot", "reports what is not its own", alarm=True)
@pytest.mark.parametrize("what", REPORTS)
def test_a_report_of_what_is_not_its_own_changes_nothing(thief: Thief, unharmed: Unharmed, what: str) -> None:
    assert thief.send(said("job.reported.v1", REPORTS[what])) == TAKEN
    unharmed(alarm=True)


@attack("stolen pilot", "writes into the log of a job that it has not", alarm=True)
@pytest.mark.parametrize("job", [{"job_id": 2}, {"attempt": 9}, {"job_id": 999}], ids=["P2's", "another attempt", "nobody's"])
def test_no_line_gets_into_anothers_log(thief: Thief, unharmed: Unharmed, job: dict[str, Any]) -> None:
    assert thief.send(said("log.written.v1", LOG | job)) == TAKEN
    unharmed(alarm=True)


REQUESTS: dict[str, tuple[str, dict[str, Any]]] = {
    "a match as P2": ("match.request.v1", {"request_id": fresh(), "pilot_id": "p2", "wait_s": 0, "resource": NODE}),
    "the orders of P2": ("pilot.listen.v1", {"pilot_id": "p2", "after": 0, "wait_s": 0}),
    "a token as P2": ("token.renew.v1", {"pilot_id": "p2"}),
    "the token of a job of P2": ("token.job.v1", {"pilot_id": "p1", "job_id": 2, "attempt": 2}),
    "the token of an old attempt": ("token.job.v1", {"pilot_id": "p1", "job_id": 1, "attempt": 1}),
    "the token of a finished job": ("token.job.v1", {"pilot_id": "p1", "job_id": 3, "attempt": 2}),
    "the proxy of a job of P2": ("proxy.fetch.v1", {"pilot_id": "p1", "job_id": 2, "attempt": 2}),
    "the input of a job of P2": (
        "sandbox.grant.v1",
        {"operation": "get", "which": "input", "pilot_id": "p1", "job_id": 2, "attempt": 2},
    ),
    "the output of a finished job": (
        "sandbox.grant.v1",
        {"operation": "get", "which": "output", "pilot_id": "p1", "job_id": 3, "attempt": 2},
    ),
    "a user's: kill": ("job.kill.v1", {"job_ids": [2]}),
    "a user's: submit": ("job.submit.v1", {"submission": fresh(), "description": {"Executable": "/bin/true"}}),
    "a user's: read a log": ("log.read.v1", {"job_id": 2}),
    "an operator's: ban": ("security.ban.v1", {"kind": "pilot", "name": "p2", "reason": "x"}),
    "an operator's: secrets": ("pilot.invite.v1", {"site": "CLOUD.CNIC.cn"}),
    "the door's: enrol": (
        "pilot.enrol.v1",
        {"pilot_id": "p2", "secret_sha256": "0" * 64, "use_sha256": "0" * 64, "peer": "192.0.2.1"},
    ),
    "the door's: log in": (
        "token.login.v1",
        {"dns": ["CN=Ada"], "limited": False, "until": "2099-01-01T00:00:00Z", "peer": "192.0.2.1"},
    ),
}


@attack("stolen pilot", "asks for what is not its own")
@pytest.mark.parametrize("what", REQUESTS)
def test_a_request_for_what_is_not_its_own_is_refused(thief: Thief, unharmed: Unharmed, what: str) -> None:
    kind, data = REQUESTS[what]
    assert thief.send(asked(kind, data)) == TAKEN
    reply = thief.reply()
    assert reply is not None
    assert reply["type"] == "request.refused.v1.reply", reply
    assert reply["data"]["code"] in ("denied", "not_found")
    unharmed()


WANTS: dict[str, Any] = {
    "Owner": "ann", "OwnerGroup": "bes_user", "VO": "bes", "CPUTime": 360, "Sites": ["GRID.JINR.ru"], "BannedSites": [],
    "GridCEs": [], "Platforms": [], "JobTypes": ["User"], "Tags": [], "MinRAM": 0, "MinNumberOfProcessors": 1,
    "MaxNumberOfProcessors": 1, "WholeNode": False, "NumberOfGPUs": 0,
}  # fmt: skip


@attack("stolen pilot", "claims another site, community and owner to get their jobs")
def test_the_matcher_goes_by_the_enrolment_and_not_by_the_claim(field: Field, thief: Thief, unharmed: Unharmed) -> None:
    made = "INSERT INTO match.queues (digest, requirements) VALUES ('x', %s) RETURNING queue_id"
    (queue_id,) = field.db.execute(made, (Json(WANTS),)).fetchone() or (0,)
    field.db.execute("UPDATE job.jobs SET state = 'Waiting', pilot_id = NULL, queue_id = %s WHERE job_id = 4", (queue_id,))
    forged = NODE | {"Site": "GRID.JINR.ru", "VirtualOrganization": ["bes", "lhcb"], "Owner": "ann", "OwnerGroup": "bes_user"}
    try:
        until_s = time.monotonic() + 20
        why: dict[str, Any] = {"queues": 0}
        while not why["queues"] and time.monotonic() < until_s:  # until the matcher has found the job by itself
            request = {"request_id": fresh(), "pilot_id": "p1", "wait_s": 1, "resource": forged}
            assert thief.send(asked("match.request.v1", request)) == TAKEN
            reply = thief.reply()
            assert reply is not None
            assert reply["data"]["job"] is None
            why = reply["data"]["why"]
        assert why["fits"] == 0, why
    finally:
        field.db.execute("UPDATE job.jobs SET state = 'Running', pilot_id = 'p1', queue_id = NULL WHERE job_id = 4")
        field.db.execute("DELETE FROM match.queues")
    unharmed()


@attack("stolen pilot", "sends its old words again, under the same and under a new id", alarm=True)
def test_what_was_said_before_changes_nothing(field: Field, thief: Thief, unharmed: Unharmed) -> None:
    counted = "SELECT count(*) FROM bus.events WHERE type = 'job.reported.v1'"
    (before,) = field.db.execute(counted).fetchone() or (0,)
    late = DONE | {"job_id": 3, "state": "Completing", "minor_status": "x"}
    old = said("job.reported.v1", late)
    for sent in (old, old, old, said("job.reported.v1", late)):
        assert thief.send(sent) == TAKEN
    unharmed(alarm=True)
    assert field.db.execute(counted).fetchone() == (before + 2,), "one for each id"


@attack("stolen pilot", "makes the matcher write into a queue by reply_to", alarm=True)
def test_a_reply_goes_nowhere_but_to_its_asker(thief: Thief, unharmed: Unharmed) -> None:
    request = {"request_id": fresh(), "pilot_id": "p1", "wait_s": 0, "resource": NODE}
    assert thief.send(asked("match.request.v1", request).but(reply_to="job.report")) == TAKEN
    unharmed(alarm=True)
    assert thief.reply(0.5) is None


LAUNDRY = {"x-dead-letter-exchange": "events", "x-dead-letter-routing-key": VICTIM, "x-message-ttl": 1}
TOPOLOGY: dict[str, Callable[[Any], Any]] = {
    "declare": lambda channel: channel.queue_declare("mine"),
    "declare exclusive": lambda channel: channel.queue_declare("", exclusive=True),
    "dead letters as a laundry": lambda channel: channel.queue_declare("mine", arguments=LAUNDRY),
    "an alternate exchange as a laundry": lambda channel: channel.exchange_declare(
        "mine", arguments={"alternate-exchange": "events"}
    ),
    "bind a queue": lambda channel: channel.queue_bind("job.report", "ingress", "#"),
    "bind exchanges": lambda channel: channel.exchange_bind("events", "ingress", "#"),
    "consume": lambda channel: channel.basic_consume("job.report", lambda *_: None),
    "get": lambda channel: channel.basic_get("job.report"),
    "purge": lambda channel: channel.queue_purge("job.report"),
    "delete a queue": lambda channel: channel.queue_delete("job.report"),
    "delete an exchange": lambda channel: channel.exchange_delete("events"),
}


@attack("stolen pilot", "declares, binds, reads, empties, deletes")
@pytest.mark.parametrize("what", TOPOLOGY)
def test_the_topology_is_not_a_pilots(field: Field, unharmed: Unharmed, what: str) -> None:
    thief = Amqp(field.vhost.pilot("p1"), field.vhost.ca_file)
    with pytest.raises(pika.exceptions.ChannelClosedByBroker, match="403"):
        TOPOLOGY[what](thief.channel)
    thief.close()
    unharmed()


@attack("stolen pilot", "opens by STOMP what is not its own")
@pytest.mark.parametrize(
    "destination",
    ["/queue/mine", "/amq/queue/job.report", "/topic/job.#", "/exchange/events/#", "/exchange/ingress/#", "/temp-queue/x"],
)
def test_stomp_opens_nothing_else(field: Field, unharmed: Unharmed, destination: str) -> None:
    for command, headers in (("SUBSCRIBE", {"id": "1"}), ("SEND", {"user-id": "pilot-p1"})):
        thief = Stomp(field.vhost.pilot("p1"), field.stomp_url, field.vhost.ca_file)
        assert thief.command(command, headers | {"destination": destination}, b"x") == REFUSED
        thief.close()
    unharmed()


@attack("stolen pilot", "looks into queues by passive declaration")
def test_what_a_passive_declaration_tells_is_no_secret(field: Field, unharmed: Unharmed) -> None:
    """RabbitMQ before 4.3 tells whoever asks that a queue is there: so the names of ours hold nobody's name and no secret."""
    thief = Amqp(field.vhost.pilot("p1"), field.vhost.ca_file)
    assert thief.channel.queue_declare("job.report", passive=True).method.queue == "job.report"
    thief.close()
    named = [queue["name"] for queue in field.vhost.call("GET", f"queues/{field.vhost.name}")]
    ours = [name for name in named if not name.startswith(("amq.", "wake."))]
    assert ours
    assert not [name for name in ours for person in ("ann", "ben", "p1", "p2") if person in name.split(".")]
    unharmed()


@attack("stolen pilot", "ten thousand headers")
def test_ten_thousand_headers_disturb_nobody(field: Field, thief: Thief, unharmed: Unharmed, protocol: str) -> None:
    thief.send(OWN.but(headers={f"h{number}": "x" * 20 for number in range(10_000)}, body=AS_P2.to_json()))
    honest = field.thief(protocol, field.vhost.pilot("p3"))
    asked_by_p3 = event("token.renew.v1", {"pilot_id": "p3"}, source="/pilot-p3/p3")
    assert honest.send(message("requests", asked_by_p3, "pilot-p3")) == TAKEN
    reply = honest.reply()
    honest.close()
    assert reply is not None
    assert reply["type"] == "token.renew.v1.reply"
    unharmed()
