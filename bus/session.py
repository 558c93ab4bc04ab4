"""What `import pilotbus` gives a user's program: jobs in, their states, events and outputs out. May be used by many threads."""

from __future__ import annotations

import contextlib
import tempfile
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TextIO

from bus import jobs as of_jobs
from bus import outputs as of_outputs
from bus import selections, submission
from bus.account import client_settings
from bus.apply import Words
from bus.client import Client
from bus.errors import Invalid
from bus.following import Following
from bus.inputs import Inputs, shared
from bus.many import Rows, jobs_of, json_lines, one_line, table
from bus.outputs import Output
from bus.submission import Submission, key_of
from schemas.rules.attributes import DescriptionError
from schemas.rules.description import normalise
from schemas.rules.parametric import count
from schemas.rules.template import UNNAMED

PATIENCE_S = 60.0
DAY_S = 86400.0

Job = dict[str, Any]
Jobs = int | Submission | Iterable[int]
Parameters = Sequence[Any] | Mapping[str, Sequence[Any]]


class _Shared(Client):
    """A client for many threads: each question waits for its turn, and is asked again where the connection was lost."""

    def __init__(self, url: str, ca_file: str, component: str, words: Words | None) -> None:
        super().__init__(url, ca_file, component=component, words=words)
        self._turn = threading.RLock()

    def ask(self, kind: str, data: Any, *, within_s: float | None = None) -> Any:
        """The reply's data; all that is asked here may well be done twice."""
        return self.insist(kind, data, PATIENCE_S if within_s is None else within_s)

    def insist(self, kind: str, data: Any, patience_s: float, reply_within_s: float = 30.0) -> Any:
        """The reply, in one's turn."""
        with self._turn:
            return super().insist(kind, data, patience_s, reply_within_s)


class Session:
    """One account on one bus."""

    def __init__(self, url: str = "", ca_file: str = "", *, component: str = "python", words: Words | None = None) -> None:
        """Connected. Without an address as the command line finds it: the environment, the stack that is up, who logged in.

        Raises Unavailable without a bus, Refused for who is not logged in.
        """
        if not url:
            told = client_settings()
            url, ca_file = told.client_amqp_url, ca_file or told.ca_file
        self._address = (url, ca_file, component, words)
        self._bus = _Shared(*self._address)
        self._bus.__enter__()
        self.account = self._bus.account

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """The connection is closed; jobs go on."""
        self._bus.__exit__(None, None, None)

    def client(self) -> Client:
        """Another connection of this account, to be entered, for what events it follows."""
        url, ca_file, component, words = self._address
        return Client(url, ca_file, component=component, words=words)

    def submit(
        self,
        description: Mapping[str, Any],
        parameters: Parameters | None = None,
        *,
        key: str = "",
        owner_group: str = "",
        base: str | Path = "",
        patience_s: float = submission.PATIENCE_S,
    ) -> Submission:
        """Every job of the description is Received, once; the same key always gets the same ids.

        One job, or DIRAC's parametric jobs: with `parameters`, a list for %s, or lists by name for %(X)s, or as
        Parameters in the description. Files of the InputSandbox are looked for in `base` and stored first. Raises Invalid
        or Refused with the reason, Unavailable with the key under which it may be tried again.
        """
        told, asked = {**description, **_sequences(parameters)}, {"submission": key_of(key)} | _group(owner_group)
        with wrong_is_invalid():
            number = count(normalise(told))
        told = self.stored(told, base, patience_s)
        if submission.fits(told):
            return submission.submit(self._bus, asked | {"description": told}, number, patience_s)
        with tempfile.TemporaryDirectory() as folder:
            return self._submit_rows(one_line(told, number, Path(folder) / "jobs"), asked, patience_s)

    def bulk(
        self,
        descriptions: Iterable[Mapping[str, Any]],
        *,
        key: str = "",
        owner_group: str = "",
        base: str | Path = "",
        patience_s: float = submission.PATIENCE_S,
    ) -> Submission:
        """Every job of different descriptions is Received, once, or none is; else as `submit`.

        They are taken one after the other and kept in a file, so that a million need the memory of one.
        """
        return self.bulk_jobs(jobs_of(descriptions), key=key, owner_group=owner_group, base=base, patience_s=patience_s)

    def bulk_jobs(
        self, jobs: Iterable[Job], *, key: str, owner_group: str, base: str | Path, patience_s: float = submission.PATIENCE_S
    ) -> Submission:
        """As `bulk`, of jobs that are normalised already."""
        with tempfile.TemporaryDirectory() as folder:
            rows = json_lines(jobs, Path(folder) / "jobs", self._inputs(base, patience_s))
            return self._submit_rows(rows, {"submission": key_of(key)} | _group(owner_group), patience_s)

    def bulk_table(
        self,
        template: Mapping[str, Any],
        text: TextIO,
        *,
        key: str = "",
        owner_group: str = "",
        base: str | Path = "",
        patience_s: float = submission.PATIENCE_S,
    ) -> Submission:
        """Every row of a CSV text makes a job of the template, with %(column)s where rows differ; else as `bulk`."""
        with tempfile.TemporaryDirectory() as folder:
            told = self.stored(template, base, patience_s)
            with wrong_is_invalid():
                rows = table(told, text, Path(folder) / "rows")
            asked = {"submission": key_of(key), "description": told} | _group(owner_group)
            return self._submit_rows(rows, asked, patience_s)

    def _submit_rows(self, rows: Rows, asked: Mapping[str, Any], patience_s: float) -> Submission:
        if not self._bus.knows(submission.STORE):
            raise Invalid("this version of the bus takes one description at a time, with up to 1000 jobs, and no lists")
        submission.put(self._bus, rows.packed, patience_s)
        return submission.submit(self._bus, {**asked, "dataref": rows.dataref}, rows.count, patience_s)

    def _inputs(self, base: str | Path, patience_s: float) -> Inputs:
        return Inputs(lambda packed: submission.put(self._bus, packed, patience_s), Path(base))

    def stored(
        self, description: Mapping[str, Any], base: str | Path = "", patience_s: float = submission.PATIENCE_S
    ) -> dict[str, Any]:
        """The description with its files here in the sandbox store, for many submissions."""
        with wrong_is_invalid():
            return self._inputs(base, patience_s).stored(description, shared(description))

    def status(self, jobs: Jobs, *, missing: bool = False, **asked: Any) -> Iterator[Job]:
        """Each job as it is now, as `job.query` tells it; `history=True` with its past.

        Raises Refused for one that is not there, or with missing leaves it out.
        """
        if missing:
            return (job for page in of_jobs.pages(self._bus, ids_of(jobs), **asked) for job in page)
        return of_jobs.all_of(self._bus, ids_of(jobs), **asked)

    def counts(self, jobs: Jobs) -> Counter[str]:
        """How many of the jobs are in each state."""
        return of_jobs.counts(self._bus, ids_of(jobs))

    def wait(self, jobs: Jobs, timeout_s: float = DAY_S) -> Counter[str]:
        """All jobs are over; how many in each state. Events tell it, and a lost bus is waited for. Raises TimeoutError."""
        with self.client() as bus:
            of_jobs.wait(bus, ids_of(jobs), timeout_s)
        return self.counts(jobs)

    def kill(self, jobs: Jobs | None = None, **which: Any) -> dict[str, Any]:
        """What came of it: `counts` by outcome, `refusals` with reasons, `results` of a hundred at most, ranges `pending`.

        The jobs are named by id, or by `which`: submission, job_group, states, owner, owner_group, site, submitted_after,
        submitted_before, as `job.kill` has them. Raises Invalid when they are not named.
        """
        return self._command("job.kill.v1", jobs, which)

    def reschedule(self, jobs: Jobs | None = None, **which: Any) -> dict[str, Any]:
        """As `kill`: they begin another attempt, three times at most; of a group those that have failed."""
        return self._command("job.reschedule.v1", jobs, which)

    def delete(self, jobs: Jobs | None = None, **which: Any) -> dict[str, Any]:
        """As `kill`: they are Deleted, if they are over."""
        return self._command("job.delete.v1", jobs, which)

    def _command(self, kind: str, jobs: Jobs | None, which: Mapping[str, Any]) -> dict[str, Any]:
        return selections.command(self._bus, kind, self._named(jobs, which))

    def _named(self, jobs: Jobs | None, which: Mapping[str, Any]) -> dict[str, Any]:
        asked = selections.of_ids(() if jobs is None else ids_of(jobs))
        if jobs is not None and not asked:
            raise Invalid("there are no job ids in what was given")
        asked |= which
        if not asked:
            raise Invalid("name the jobs: by id, or by submission, job_group, states, owner, owner_group, site or time")
        return asked

    def find(self, **which: Any) -> Iterator[Job]:
        """Each job of a selection as `kill` has it, in the order of their ids."""
        return selections.every_job(self._bus, self._named(None, which))

    def groups(self, **which: Any) -> list[dict[str, Any]]:
        """One's groups of jobs with how many are in which state; others' by owner, owner_group, or `everybody=True`."""
        return selections.groups(self._bus, which)

    def outputs(self, jobs: Jobs, directory: str | Path, side_by_side: int = of_outputs.SIDE_BY_SIDE) -> Iterator[Output]:
        """The output of each job as it comes, in directory/<job id>; repeated, only what is missing is fetched."""
        return of_outputs.fetch(self._bus, ids_of(jobs), Path(directory), side_by_side)

    def ask(self, kind: str, data: Mapping[str, Any]) -> Any:
        """The reply to any request that may well be done twice."""
        return self._bus.ask(kind, dict(data))

    def events(self, *patterns: str, quiet_s: float = 0.0, everybody: bool = False) -> Following:
        """Events of one's own jobs from now on, for `for` and for `async for`: `job.#` when no pattern is given.

        It ends after so many seconds in which nothing came; with 0 never. Operators may follow everybody's.
        """
        return Following(self.client(), patterns or ("job.#",), quiet_s, everybody=everybody)


def ids_of(jobs: Jobs) -> Sequence[int]:
    """The ids that are meant, each once, in order."""
    if isinstance(jobs, int):
        return (jobs,)
    if isinstance(jobs, Submission):
        return jobs.job_ids
    return jobs if isinstance(jobs, range) else list(dict.fromkeys(jobs))


@contextlib.contextmanager
def wrong_is_invalid() -> Iterator[None]:
    """What is wrong with a description is Invalid, as all that is wrong."""
    try:
        yield
    except DescriptionError as problem:
        raise Invalid(str(problem)) from problem


def _sequences(parameters: Parameters | None) -> dict[str, Any]:
    if parameters is None:
        return {}
    named = parameters if isinstance(parameters, Mapping) else {UNNAMED: parameters}
    told = {f"Parameters.{name}" if name else "Parameters": list(values) for name, values in named.items()}
    if not any(told.values()):
        raise Invalid("there are no parameters, and so no job")
    return {"Parameters": len(next(iter(told.values())))} | told


def _group(owner_group: str) -> dict[str, str]:
    return {"owner_group": owner_group} if owner_group else {}
