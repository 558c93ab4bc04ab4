"""The jobs that run now, each in a thread of its own with its share of what the pilot has."""

from __future__ import annotations

import contextlib
import os
import queue
import threading
import traceback
from dataclasses import replace

from pilot.command import Job, Pilot
from pilot.job import run_job
from pilot.slots import Share, Slots

MOST_FAILURES = 3  # in a row; DIRAC's StopAfterHostFailures
Key = tuple[int, int]


class Crew:
    """Starts jobs and takes back what they had. One thread uses it; what a job does harms no other."""

    def __init__(self, pilot: Pilot, slots: Slots) -> None:
        self.is_unfit = False  # too many jobs in a row have failed because of the pilot or its node
        self._pilot, self._slots = pilot, slots
        self._processors = own_processors(slots.free().processors) if pilot.config.pool else ()
        self._ended: queue.SimpleQueue[tuple[Key, bool]] = queue.SimpleQueue()
        self._threads: dict[Key, threading.Thread] = {}
        self._failures = 0

    def __len__(self) -> int:
        return len(self._threads)

    def take(self, job: Job) -> Job | None:
        """The job with its share, which is its own from now on; None when there is no room for it yet."""
        share = self._slots.take(_key(job), job.description)
        return None if share is None else replace(job, share=share)

    def start(self, job: Job) -> None:
        """The job, which has its share, runs."""
        with self._pilot.lock:
            self._pilot.running[_key(job)] = job
        # a daemon: should the pilot fail, its end is the end of every keeper, and so of every payload
        thread = threading.Thread(target=self._run, args=(job,), name=f"job-{job.job_id}-{job.attempt}", daemon=True)
        self._threads[_key(job)] = thread
        thread.start()

    def reap(self) -> bool:
        """What jobs had that are over is free again; whether there were any."""
        some = False
        with contextlib.suppress(queue.Empty):
            while True:
                key, failed = self._ended.get_nowait()
                self._threads.pop(key).join()
                self._slots.give_back(key)
                self._failures = self._failures + 1 if failed else 0
                self.is_unfit = self.is_unfit or self._failures >= MOST_FAILURES
                some = True
        return some

    def _run(self, job: Job) -> None:
        failed = True
        try:
            if job.share is not None:
                _stay_on(self._processors, job.share)
            run_job(self._pilot, job)
            failed = False
        except BaseException:
            self._pilot.complain(f"job {job.job_id}, attempt {job.attempt}, failed in the pilot:\n{traceback.format_exc()}")
        finally:
            with self._pilot.lock:
                self._pilot.running.pop(_key(job), None)
            self._ended.put((_key(job), failed))
            self._pilot.orders.changed()


def own_processors(offered: int) -> tuple[int, ...]:
    """The node's numbers of this pilot's processors; none when it offers other than it may use, and so does not own them."""
    usable = tuple(sorted(os.sched_getaffinity(0)))
    return usable if len(usable) == offered else ()


def _stay_on(processors: tuple[int, ...], share: Share) -> None:
    """This thread, and whatever it starts, stays on the processors of the share."""
    if processors:
        with contextlib.suppress(OSError):  # they may have been taken away meanwhile
            os.sched_setaffinity(0, {processors[number] for number in share.processors})


def _key(job: Job) -> Key:
    return job.job_id, job.attempt
