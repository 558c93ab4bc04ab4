"""credentials: a job finds its owner's proxy where its environment says, fresh as long as it runs, and then it is gone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pilot.credentials import KINDS, _replace
from tests.pilot.conftest import Start
from tests.pilot.counterpart import Services, Store
from tests.pilot.jobs import Jobs
from tests.pilot.test_life import last, text_of

CANARY = "canary-of-a-private-key"
ENDS = "2099-01-01T00:00:00Z"
LOOK = """
stat -c '%a %n' "$X509_USER_PROXY" | sed "s,$(dirname "$HOME"),HOME,"
first=$(md5sum < "$X509_USER_PROXY")
until [ "$(md5sum < "$X509_USER_PROXY")" != "$first" ]; do sleep 0.05; done
stat -c %a "$X509_USER_PROXY"
"""


@pytest.fixture
def jobs(services: Services, store: Store) -> Iterator[Jobs]:
    yield Jobs(services, store)


@pytest.fixture
def given(services: Services) -> list[dict[str, Any]]:
    """The requests for a proxy; each gets another one, that lives two seconds."""
    asked: list[dict[str, Any]] = []

    def give(request: dict[str, Any]) -> dict[str, Any]:
        asked.append(request["data"])
        return {"pem": f"{CANARY} {len(asked)}\n", "not_after": ENDS, "valid_s": 2}

    services.answers["proxy.fetch.v1"] = give
    return asked


def shell(jobs: Jobs, script: str) -> int:
    return jobs.add("/bin/sh", "-c '" + script.replace("'", "'\"'\"'") + "'")


def test_the_proxy_is_where_the_payload_looks_and_is_renewed_while_it_runs(
    jobs: Jobs, services: Services, start: Start, given: list[dict[str, Any]], tmp_path: Path
) -> None:
    job = shell(jobs, LOOK)
    pilot = start("--max-jobs", "1", "--name", "p1")
    assert last(services, job)["state"] == "Done"
    assert text_of(services, job, "std.out") == ["600 HOME/x509up", "600"]
    assert given[0] == {"pilot_id": "p1", "job_id": job, "attempt": 1}
    assert len(given) >= 2
    _, said = pilot.communicate(timeout=30)
    assert list(tmp_path.iterdir()) == []
    assert CANARY not in said + json.dumps(services.heard)


def test_nothing_is_asked_for_a_payload_that_is_over(
    jobs: Jobs, services: Services, start: Start, given: list[dict[str, Any]]
) -> None:
    job = shell(jobs, "echo up; sleep 300")
    start("--max-jobs", "1")
    services.until(lambda: text_of(services, job, "std.out") == ["up"])
    services.until(lambda: any(request["type"] == "pilot.listen.v1" for request, _ in services.parked))
    services.release("pilot.listen.v1", {"orders": [{"number": 1, "order": "kill", "job_id": job, "attempt": 1}]})
    assert last(services, job)["state"] == "Killed"
    count = len(given)
    services.until(lambda: services.of("pilot.reported.v1", phase="leaving"))
    assert len(given) == count


@pytest.mark.parametrize(("code", "told"), [("not_found", False), ("denied", True), ("unavailable", True)])
def test_a_job_without_a_proxy_runs_without_one(jobs: Jobs, services: Services, start: Start, code: str, told: bool) -> None:
    services.answers["proxy.fetch.v1"] = lambda _: {"refuse": {"code": code, "reason": "because"}}
    job = shell(jobs, "echo ${X509_USER_PROXY-none}")
    start("--max-jobs", "1")
    assert last(services, job)["state"] == "Done"
    assert text_of(services, job, "std.out") == ["none"]
    assert any("gets no X509_USER_PROXY: because" in line for line in text_of(services, job, "pilot")) == told


def test_a_renewal_that_is_refused_is_said_once_and_the_job_goes_on(
    jobs: Jobs, services: Services, start: Start, given: list[dict[str, Any]]
) -> None:
    give = services.answers["proxy.fetch.v1"]
    services.answers["proxy.fetch.v1"] = lambda request: (
        {"refuse": {"code": "not_found", "reason": "destroyed"}} if given else give(request)
    )
    job = shell(jobs, 'sleep 4; test -e "$X509_USER_PROXY" && echo there')
    start("--max-jobs", "1")
    assert last(services, job)["state"] == "Done"
    assert text_of(services, job, "std.out") == ["there"]
    said = [line for line in text_of(services, job, "pilot") if "can not be renewed" in line]
    assert len(said) == 1
    assert said[0].endswith("destroyed")


def test_the_file_is_whole_private_and_no_link_of_the_payload_is_followed(tmp_path: Path) -> None:
    path, other = tmp_path / "x509up", tmp_path / "other"
    other.write_text("untouched")
    path.symlink_to(other)
    (tmp_path / ".x509up.new").symlink_to(other)
    _replace(path, CANARY)
    assert (other.read_text(), path.read_text(), path.is_symlink()) == ("untouched", CANARY, False)
    assert path.stat().st_mode & 0o777 == 0o600
    assert sorted(found.name for found in tmp_path.iterdir()) == ["other", "x509up"]


def test_every_kind_has_its_own_file_and_variable() -> None:
    assert len({kind.file for kind in KINDS}) == len({kind.variable for kind in KINDS}) == len(KINDS)
