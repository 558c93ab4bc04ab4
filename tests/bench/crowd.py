"""Many pilots over few connections, each of which asks for one job at a time."""

from __future__ import annotations

import json
import time
import uuid
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import psycopg
import requests

from bus.event import Event, now
from bus.frames import published
from bus.login import login
from bus.settings import Settings
from bus.transport import REPLY_TO
from handlers.token.issuer import Issuer
from schemas.rules.identity import pilot_account
from tests.bench.line import Line, receive, send

LINES = 4
_PLACE = "00000000-0000-4000-8000-000000000000"
_MOMENT = b"2026-01-01T00:00:00.000Z"
_ENROL = """COPY trust.enrolments (pilot_id, secret_sha256, site, ce, vo, tags, invited_by, invited_at, expires_at, enrolled_at)
FROM STDIN"""


@dataclass(frozen=True, slots=True)
class Node:
    """A pilot, where it was enrolled, and what its node offers."""

    pilot_id: str
    resource: Mapping[str, Any]
    vo: str = ""


def nodes(resources: Iterator[Mapping[str, Any]], prefix: str = "c", vo: str = "") -> list[Node]:
    """A pilot for each of these resources."""
    return [Node(f"{prefix}{number}", one, vo) for number, one in enumerate(resources, 1)]


def enrol(database: psycopg.Connection[Any], some: Sequence[Node]) -> None:
    """Each is enrolled at the site and computing element of its resource."""
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    with database.cursor() as cursor, cursor.copy(_ENROL) as copy:
        for node in some:
            site, ce = node.resource["Site"], node.resource.get("GridCE", "")
            copy.write_row((node.pilot_id, node.pilot_id, site, ce, node.vo, [], "bench", at, at, at))
    database.execute("ANALYZE trust.enrolments")


def broker(told: Settings) -> dict[str, Any]:
    """What the broker says of its node; it counts only every some seconds, and not at all at its very start."""
    issuer = Issuer(told.issuer_dir, told.door_url, login(told.amqp_url).vhost)
    auth = ("-", issuer.management().text)
    until_s = time.monotonic() + 30
    while True:
        found = requests.get(f"{told.management_url}/api/nodes", auth=auth, verify=told.ca_file, timeout=10)
        found.raise_for_status()
        node = dict(found.json()[0])
        if "os_pid" in node or time.monotonic() > until_s:
            return node
        time.sleep(0.2)


@dataclass(slots=True)
class Answer:
    """A reply: to which request of which pilot, when it came, and the job in it."""

    request_id: str
    pilot_id: str
    at_s: float
    body: Any

    @property
    def job(self) -> tuple[int, int] | None:
        """Job and attempt, if there is one."""
        job = self.body["data"].get("job")
        return (job["job_id"], job["attempt"]) if job else None


@dataclass(slots=True)
class Crowd:
    """These pilots, each of which asks for one job at a time."""

    url: str
    ca_file: str
    some: Sequence[Node]
    wait_s: int = 300
    lines: list[Line] = field(default_factory=list)
    asking: dict[str, str] = field(default_factory=dict)
    free: deque[str] = field(default_factory=deque)
    _parts: dict[str, list[bytes]] = field(default_factory=dict)
    _turn: int = 0

    def __enter__(self) -> Self:
        self.lines = [Line(self.url, self.ca_file) for _ in range(LINES)]
        for node in self.some:
            self._parts[node.pilot_id] = _parts(node, self.wait_s)
        self.free.extend(self._parts)
        return self

    def __exit__(self, *_: object) -> None:
        for line in self.lines:
            line.close()

    def ask(self, count: int) -> list[str]:
        """So many of the idle pilots have asked, those first that have waited longest; gives their requests."""
        asked, at = [], now().encode()
        pages: list[list[bytes]] = [[] for _ in self.lines]
        for _ in range(min(count, len(self.free))):
            pilot_id, request_id = self.free.popleft(), str(uuid.uuid4())
            self.asking[request_id] = pilot_id
            asked.append(request_id)
            self._turn += 1
            said = request_id.encode().join(self._parts[pilot_id])
            pages[self._turn % len(pages)].append(said.replace(_MOMENT, at))
        for line, page in zip(self.lines, pages, strict=True):
            line.add(b"".join(page))
        send(self.lines)
        return asked

    def answers(self, timeout_s: float) -> list[Answer]:
        """What has come after at most so long; whoever has an answer is idle again."""
        found = []
        send(self.lines)  # also to say that they are there
        bodies = receive(self.lines, timeout_s)
        at_s = time.monotonic()
        for body in bodies:
            said = json.loads(body)
            if said["type"] != "match.request.v1.reply":
                raise AssertionError(f"a request was refused: {said['data']}")
            request_id = said["causationid"]
            pilot_id = self.asking.pop(request_id, "")
            if pilot_id:
                self.free.append(pilot_id)
            found.append(Answer(request_id, pilot_id, at_s, said))
        return found


def _parts(node: Node, wait_s: int) -> list[bytes]:
    """The bytes of this pilot's message, between the places where the request's id stands."""
    account = pilot_account(node.pilot_id)
    asked = {"request_id": _PLACE, "pilot_id": node.pilot_id, "wait_s": wait_s, "resource": dict(node.resource)}
    event = Event("match.request.v1", f"/{account}/{node.pilot_id}", node.pilot_id, asked, id=_PLACE, time=_MOMENT.decode())
    key = f"{account}.{event.type}.{event.subject}"
    said = published("requests", key, event.to_json(), channel=1, user_id=account, reply_to=REPLY_TO)
    return said.split(_PLACE.encode())
