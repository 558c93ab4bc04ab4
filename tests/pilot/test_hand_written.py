"""A pilot written by hand from pilot/WIRE.md, over a STOMP library that is not ours, runs a job of the real services."""

from __future__ import annotations

import hashlib
import io
import json
import queue
import ssl
import tarfile
import urllib.request
import uuid
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import psycopg
import stomp

from bus.client import Client
from tests.bus.test_life_of_an_event import until
from tests.fix_broker import Vhost

SITE = "CLOUD.CNIC.cn"
CONTENT = "application/cloudevents+json"


class HandWritten(stomp.ConnectionListener):  # type: ignore[misc]
    """What WIRE.md says, and nothing of the pilot's own code."""

    def __init__(self, door: str, secret: str, broker: str, ca_file: str) -> None:
        self.tls = ssl.create_default_context(cafile=ca_file)
        self.frames: queue.Queue[tuple[str, str, Any]] = queue.Queue()
        self.kept: list[tuple[str, str, Any]] = []
        self.reports = 0
        enrolled = self.post(f"{door}/enrol", {"secret": secret, "key": uuid.uuid4().hex, "version": "2026.1.0"})
        self.pilot_id, self.site, self.token = (enrolled[name] for name in ("pilot_id", "site", "token"))
        self.account = f"pilot-{self.pilot_id}"
        self.where, self.ca_file = urlsplit(broker), ca_file
        self.log_in()

    def log_in(self) -> None:
        place = [(self.where.hostname, self.where.port)]
        self.line = stomp.Connection12(place, vhost=self.where.path[1:], heartbeats=(30000, 30000), reconnect_attempts_max=1)
        self.line.set_ssl(place, ca_certs=self.ca_file)
        self.line.set_listener("", self)
        self.line.connect(self.account, self.token, wait=True)
        replies = "/amq/queue/amq.rabbitmq.reply-to"
        self.line.subscribe(replies, id="replies", ack="auto", headers={"receipt": "subscribed"})
        self.wait_for("receipt", "subscribed")

    def post(self, url: str, body: Any) -> Any:
        request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"}, method="POST")
        with urllib.request.urlopen(request, context=self.tls, timeout=30) as answer:
            return json.load(answer)

    def on_message(self, frame: Any) -> None:
        self.frames.put(("reply", frame.headers["correlation-id"], json.loads(frame.body)))

    def on_receipt(self, frame: Any) -> None:
        self.frames.put(("receipt", frame.headers["receipt-id"], None))

    def on_error(self, frame: Any) -> None:
        self.frames.put(("error", "", frame.body))

    def wait_for(self, kind: str, which: str) -> Any:
        while True:
            for found in self.kept:
                if found[:2] == (kind, which):
                    self.kept.remove(found)
                    return found[2]
            came = self.frames.get(timeout=30)
            assert came[0] != "error", came
            self.kept.append(came)

    def send(self, exchange: str, kind: str, data: dict[str, Any], subject: str = "", event_id: str = "", **headers: str) -> str:
        event_id = event_id or str(uuid.uuid4())
        envelope = {
            "specversion": "1.0",
            "id": event_id,
            "source": f"/{self.account}/{self.pilot_id}",
            "type": kind,
            "subject": subject or self.pilot_id,
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "datacontenttype": "application/json",
            "data": data,
        }
        key = f"/exchange/{exchange}/{self.account}.{kind}.{envelope['subject']}"
        told = {"persistent": "true", "user-id": self.account, "amqp-message-id": event_id, "receipt": event_id, **headers}
        self.line.send(key, json.dumps(envelope), CONTENT, told)
        self.wait_for("receipt", event_id)
        return event_id

    def ask(self, kind: str, data: dict[str, Any], event_id: str = "") -> str:
        event_id = event_id or str(uuid.uuid4())
        replies = {"reply-to": "amq.rabbitmq.reply-to", "correlation-id": event_id}
        return self.send("requests", kind, data, event_id=event_id, **replies)

    def asked(self, kind: str, data: dict[str, Any]) -> Any:
        request = self.ask(kind, data)
        reply = self.wait_for("reply", request)
        assert reply["type"] == f"{kind}.reply", reply
        return reply["data"]

    def report(self, phase: str, **details: Any) -> None:
        self.reports += 1
        told = {"pilot_id": self.pilot_id, "site": self.site, "phase": phase, "number": self.reports, "details": details}
        self.send("ingress", "pilot.reported.v1", told)

    def job_is(self, job: dict[str, Any], state: str, minor: str, **more: Any) -> None:
        named = {"job_id": job["job_id"], "attempt": job["attempt"], "pilot_id": self.pilot_id}
        told = {**named, "state": state, "minor_status": minor, **more}
        self.send("ingress", "job.reported.v1", told, str(job["job_id"]))


def packed(name: str, text: bytes) -> bytes:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w:gz") as archive:
        member = tarfile.TarInfo(name)
        member.size = len(text)
        archive.addfile(member, io.BytesIO(text))
    return raw.getvalue()


def test_a_pilot_written_by_hand_runs_a_job(vhost: Vhost, db: psycopg.Connection[Any], door: str) -> None:
    with Client(vhost.client_url, vhost.ca_file) as operator:
        operator.say("site.described.v1", {"site": SITE, "status": "active"})
        secret = operator.ask("pilot.invite.v1", {"site": SITE})["pilots"][0]["secret"]
        description = {"Executable": "/bin/echo", "Arguments": "hello", "CPUTime": 100, "OutputSandbox": ["std.out"]}
        operator.ask("job.submit.v1", {"submission": str(uuid.uuid4()), "description": description})
    pilot = HandWritten(door, secret, vhost.over("stomps", vhost.pilot_url), vhost.ca_file)
    pilot.report("booted", version="of my own", host="here")
    resource = {"Site": SITE, "CPUTime": 172800, "NumberOfProcessors": 1, "MaxRAM": 2048}
    pilot.report("described", **resource)
    listen = ("pilot.listen.v1", {"pilot_id": pilot.pilot_id, "after": 0, "wait_s": 300})
    listening = pilot.ask(*listen)
    request = {"request_id": str(uuid.uuid4()), "pilot_id": pilot.pilot_id, "wait_s": 60, "resource": resource}
    job = pilot.asked("match.request.v1", request)["job"]
    assert (job["description"]["Executable"], job["attempt"]) == ("/bin/echo", 1)
    named = {name: job[name] for name in ("job_id", "attempt")}
    (lease,) = pilot.asked("pilot.beat.v1", {"pilot_id": pilot.pilot_id, "number": 1, "jobs": [named]})["leases"]
    assert lease.pop("lease_s") > 1000
    assert lease == named
    pilot.job_is(job, "Running", "Job Initialization")
    pilot.job_is(job, "Running", "Application")
    attempt = {"pilot_id": pilot.pilot_id, "job_id": job["job_id"], "attempt": 1}
    lines = [{"at": datetime.now(UTC).isoformat(timespec="milliseconds"), "text": job["description"]["Arguments"]}]
    pilot.send(
        "telemetry", "log.written.v1", {**attempt, "stream": "std.out", "first_number": 1, "lines": lines}, str(job["job_id"])
    )
    pilot.token = pilot.asked("token.renew.v1", {"pilot_id": pilot.pilot_id})["token"]
    pilot.line.disconnect()
    pilot.log_in()
    pilot.ask(*listen, listening)
    body = packed("std.out", b"hello\n")
    output = {"digest": hashlib.sha256(body).hexdigest(), "size_bytes": len(body)}
    grant = pilot.asked("sandbox.grant.v1", {"operation": "put", "which": "output", **output, **attempt})
    put = urllib.request.Request(grant["url"], body, grant["headers"], method="PUT")
    urllib.request.urlopen(put, context=pilot.tls, timeout=30).close()
    pilot.job_is(job, "Completing", "Uploading Output Sandbox")
    pilot.job_is(job, "Done", "Execution Complete", application_status="finished", exit_code=0, output=output)
    with Client(vhost.client_url, vhost.ca_file) as operator:
        operator.ask("pilot.drain.v1", {"pilot_id": pilot.pilot_id})
    (order,) = pilot.wait_for("reply", listening)["data"]["orders"]
    assert order["order"] == "drain"
    pilot.send("ingress", "pilot.obeyed.v1", {"pilot_id": pilot.pilot_id, "number": order["number"], "outcome": "taken"})
    pilot.report("leaving", reason="drained", jobs=1)
    pilot.line.disconnect()
    until(lambda: db.execute("SELECT state FROM job.jobs WHERE exit_code = 0").fetchall() == [("Done",)])
    with Client(vhost.client_url, vhost.ca_file) as operator:
        until(lambda: [line["text"] for line in operator.ask("log.read.v1", {"job_id": job["job_id"]})["lines"]] == ["hello"])
    until(lambda: db.execute("SELECT outcome FROM pilot.orders").fetchall() == [("taken",)])
    until(lambda: db.execute("SELECT 1 FROM bus.events WHERE body->'data'->>'phase' = 'leaving'").fetchone())
    assert db.execute("SELECT body FROM bus.events WHERE type LIKE '%%refused%%'").fetchall() == []
