"""How a job is that does not wait, and how a pilot is, in sentences for whoever asks why."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from schemas.rules.matching import masked

_OVER = "it is over"
ON_HOLD = "On Hold"  # DIRAC's
OF_STATES = {
    "Submitting": "its submission is not confirmed yet",
    "Received": "it is to be checked",
    "Checking": "it is to be put in a task queue",
    "Scouting": "it waits for its scout",
    "Staging": "it waits for its input data",
    "Matched": "{where} has it and is to start it",
    "Running": "{where} runs it",
    "Stalled": "nothing is heard of {where}: it goes on when something is, or its next attempt waits when its lease has ended",
    "Completing": "its payload is over, and {where} sends its output",
    "Completed": "data operations are pending",
    "Rescheduled": "its next attempt is to be put in a task queue",
    **dict.fromkeys(("Done", "Failed", "Killed", "Deleted"), _OVER),
}


def of_job(job: Mapping[str, Any], step: Mapping[str, Any], at: str | None) -> str:
    """Why a job that was in this state did not wait for a pilot."""
    where = "its pilot"
    if job["pilot_id"] and job["attempt"] == step["attempt"]:
        where = f"pilot {job['pilot_id']}" + (f" at {job['site']}" if job["site"] else "")
    what = OF_STATES.get(step["state"], "it does not wait for a pilot").format(where=where)
    if what == _OVER and job["state"] == step["state"] and job["application_status"]:
        what += f": {job['application_status']}"
    elif step["state"] == job["state"] == "Rescheduled" and job["application_status"].startswith(ON_HOLD):
        what = f"it is held before its next attempt may wait ({job['application_status']})"
    return f"{_since(job, step, at)}: {what}"


def of_waiting(job: Mapping[str, Any], step: Mapping[str, Any], at: str | None, why: str) -> str:
    """Why a job that waited did so."""
    return f"{_since(job, step, at)}: {why}"


def of_turn(headline: str, ahead: int, most: int) -> str:
    """What a job waits for that some pilots fit."""
    count = f"{most - 1} jobs or more" if ahead >= most else f"{ahead} job{'' if ahead == 1 else 's'}"
    return f"{headline}: it waits for its turn" + (f", and {count} of its task queue come before it" if ahead else "")


def masked_at(sites: Iterable[Mapping[str, Any]], offers: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The offers as the status of their sites lets them match."""
    status = {row["site"]: row["status"] for row in sites}
    return [{**offer, "resource": masked(offer["resource"], status.get(offer["resource"].get("Site")))} for offer in offers]


def held(offers: Iterable[Mapping[str, Any]], reached: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The offers, each with the limits that are reached where it is; limits are those that are about the job."""
    return [{**offer, "held": [_limit(row) for row in reached if _is_at(offer["resource"], row)]} for offer in offers]


def of_pilot(
    pilot: Mapping[str, Any],
    phase: Mapping[str, Any] | None,
    jobs: Sequence[int],
    empty: Mapping[str, Any] | None,
    at: str | None,
) -> list[str]:
    """Everything that keeps or kept a pilot from a job, what weighs most first; never nothing."""
    said = [pilot["banned"]] if pilot["banned"] and at is None else []
    if phase is None and not empty and (at or not pilot["state"]):
        said.append(f"it had told nothing of itself by {at}" if at else "it has told nothing of itself yet")
    elif phase and phase["phase"] == "leaving":
        said.append(f"it left at {phase['since']}: {phase['reason'] or 'it did not say why'}")
    elif at is None and pilot["state"] in ("Done", "Failed", "Aborted", "Deleted", "Unknown"):
        what = pilot["reason"] or "nothing is heard of it any more"
        said.append(f"it is {pilot['state']}, and was last heard of at {pilot['last_seen_at']}: {what}")
    if jobs:
        said.append(f"it {'had' if at else 'has'} job {', '.join(map(str, jobs[:10]))}{' …' if len(jobs) > 10 else ''}")
    if empty:
        said.append(f"it asked until {empty['at']} and got no job: {empty['reasons']['headline']}")
    if phase and phase["phase"] == "asking" and not jobs:
        wanted = "wanted" if at else "wants"
        said.append(f"it {wanted} a job since {phase['since']}, and a request of it waits for one that fits")
    if not said and phase:
        said.append(f"it has not asked for a job {'by then' if at else 'yet'}: it is {phase['phase']} since {phase['since']}")
    return said or ["it has not asked for a job in the time of which answers are kept"]


def _since(job: Mapping[str, Any], step: Mapping[str, Any], at: str | None) -> str:
    if at:
        return f"at {at} job {job['job_id']} was {step['state']}, since {step['since']}"
    return f"job {job['job_id']} is {step['state']} since {step['since']}"


def _is_at(resource: Mapping[str, Any], limit: Mapping[str, Any]) -> bool:
    return resource.get("Site") == limit["site"] and limit["ce"] in ("", resource.get("GridCE"))


def _limit(row: Mapping[str, Any]) -> str:
    whose = "" if row["attribute"] == "*" else f" of {row['attribute']} {row['value']}"
    where = row["site"] + (f", CE {row['ce']}" if row["ce"] else "")
    return f"RunningLimit: {row['running']} of at most {row['most']} jobs{whose} run at {where}"
