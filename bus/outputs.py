"""The output sandboxes of many jobs: fetched side by side, each into a folder of its own, and gone on with after a loss."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bus.client import Client
from bus.errors import Refused
from bus.sandbox import SandboxError, unpack
from bus.transfer import Progress, download

SIDE_BY_SIDE = 8
PATIENCE_S = 60.0
_MARK = ".pilotbus-output"


@dataclass(frozen=True, slots=True)
class Output:
    """What a job left, or why there is nothing: a code as of a refusal, and a sentence."""

    job_id: int
    files: tuple[Path, ...] = ()
    code: str = ""
    reason: str = ""


def fetch(bus: Client, ids: Iterable[int], directory: Path, side_by_side: int = SIDE_BY_SIDE) -> Iterator[Output]:
    """The output of each job, as it comes, in directory/<job id>; what was fetched before is not fetched again.

    What broke off is kept in that folder, and the next time only the rest is fetched. A job that has no output, or whose
    store fails, has a reason and stops no other. Who breaks it off waits for no store that is slow.
    """
    broken_off = threading.Event()

    def progress(_bytes: int) -> None:
        if broken_off.is_set():
            raise SandboxError("it was broken off")

    with ThreadPoolExecutor(side_by_side, thread_name_prefix="output") as pool:
        under_way: set[Future[Output]] = set()
        try:
            for job_id in ids:
                found = _begun(bus, pool, job_id, directory / str(job_id), progress)
                if isinstance(found, Output):
                    yield found
                    continue
                under_way.add(found)
                while len(under_way) >= 2 * side_by_side:  # an address is good for minutes only
                    done, under_way = wait(under_way, return_when=FIRST_COMPLETED)
                    yield from (future.result() for future in done)
            while under_way:
                done, under_way = wait(under_way, return_when=FIRST_COMPLETED)
                yield from (future.result() for future in done)
        finally:
            broken_off.set()
            pool.shutdown(wait=True, cancel_futures=True)


def _begun(bus: Client, pool: ThreadPoolExecutor, job_id: int, folder: Path, progress: Progress) -> Output | Future[Output]:
    try:
        grant = bus.insist("sandbox.grant.v1", {"operation": "get", "job_id": job_id, "which": "output"}, PATIENCE_S)
    except Refused as problem:
        return Output(job_id, code=problem.code, reason=problem.reason)
    return pool.submit(_fetch, job_id, grant, folder, bus.ca_file, progress)


def _fetch(job_id: int, grant: Mapping[str, Any], folder: Path, ca_file: str, progress: Progress) -> Output:
    digest = grant["digest"]
    mark, archive = folder / _MARK, folder / f".{digest[:16]}.tar.gz"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if (known := _known(mark, folder, digest)) is not None:
            return Output(job_id, known)
        download(grant["url"], archive, digest, ca_file=ca_file, progress=progress, keep_part=True)
        files = sorted(unpack(archive, folder))
        names = [str(path.relative_to(folder)) for path in files]
        mark.write_text(json.dumps({"digest": digest, "files": names}), encoding="ascii")
        archive.unlink()
    except SandboxError as problem:
        return Output(job_id, code="unavailable", reason=f"job {job_id}: {problem}")
    except OSError as problem:
        return Output(job_id, code="unavailable", reason=f"{problem.filename or folder}: {problem.strerror or problem}")
    return Output(job_id, tuple(files))


def _known(mark: Path, folder: Path, digest: str) -> tuple[Path, ...] | None:
    """The files that were fetched before, if they are this output's and still there."""
    try:
        kept = json.loads(mark.read_text(encoding="ascii"))
        files = tuple(folder / name for name in kept["files"])
        return files if kept["digest"] == digest and all(path.exists() for path in files) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None
