"""Jobs for a pilot: handed out as a matcher would, with sandboxes made on the spot."""

from __future__ import annotations

import io
import tarfile
from typing import Any

from tests.pilot.counterpart import Services, Store


class Jobs:
    """Hands each job to one request, and the same one again when the same request comes again."""

    def __init__(self, services: Services, store: Store) -> None:
        self.waiting: list[dict[str, Any]] = []
        self.given: dict[str, dict[str, Any]] = {}
        self.services = services
        self.last_id = 100
        services.answers["match.request.v1"] = self._match
        services.answers["sandbox.grant.v1"] = store.grant

    def add(self, executable: str, arguments: str = "", **more: Any) -> int:
        """A job waits; its id. A parked request gets it at once."""
        self.last_id += 1
        given: dict[str, Any] = {name: more.pop(name) for name in ("input", "least_isolation") if name in more}
        description = {"Executable": executable, "Arguments": arguments, "CPUTime": 1000, **more}
        job = {"job_id": self.last_id, "attempt": 1, "owner": "ada", "vo": "lhcb", "description": description, **given}
        self.waiting.append(job)
        for request, reply_to in [pair for pair in self.services.parked if pair[0]["type"] == "match.request.v1"]:
            self.services.parked.remove((request, reply_to))
            self.services.reply(request, reply_to, self._match(request) or {"job": None})
        return self.last_id

    def _match(self, request: dict[str, Any]) -> dict[str, Any] | None:
        request_id = request["data"]["request_id"]
        if request_id not in self.given and self.waiting:
            self.given[request_id] = self.waiting.pop(0)
        return {"job": self.given[request_id]} if request_id in self.given else None


def tar(**files: str) -> bytes:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w:gz") as archive:
        for name, text in files.items():
            member = tarfile.TarInfo(name.replace("_", "."))
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))
    return raw.getvalue()
