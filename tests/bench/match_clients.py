"""Processes of clients that ask the matcher for jobs, at full speed or by the clock."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.bench.crowd import Answer, Crowd, Node

OUTSTANDING = 600
LEFT_S = 60.0


@dataclass(slots=True)
class Heard:
    """What a client process has to tell."""

    jobs: list[tuple[str, str, int, int]] = field(default_factory=list)  # request, pilot, job, attempt
    empty: int = 0
    per_s: float = 0.0
    delays_ms: list[float] = field(default_factory=list)
    processor_us: float = 0.0  # of the client, for each reply

    def take(self, answers: Sequence[Answer]) -> None:
        """These have come."""
        for answer in answers:
            if answer.job is None:
                self.empty += 1
            else:
                self.jobs.append((answer.request_id, answer.pilot_id, *answer.job))


def keep_asking(crowd: Crowd, warm_up_s: float, seconds: float, outstanding: int = OUTSTANDING) -> Heard:
    """As many requests as may be outstanding are, always; replies with a job are counted after the warm-up."""
    heard = Heard()
    begin_s = time.monotonic() + warm_up_s
    counted, first_s, last_s, before_s = 0, 0.0, 0.0, 0.0
    while (now_s := time.monotonic()) < begin_s + seconds:
        crowd.ask(outstanding - len(crowd.asking))
        answers = crowd.answers(0.1)
        heard.take(answers)
        if now_s < begin_s:
            first_s, last_s, before_s = time.monotonic(), 0.0, time.process_time()
        else:
            counted += sum(answer.job is not None for answer in answers)
            last_s = time.monotonic()
    heard.per_s = counted / (last_s - first_s)
    heard.processor_us = 1e6 * (time.process_time() - before_s) / max(1, counted)
    finish(crowd, heard)
    return heard


def by_the_clock(crowd: Crowd, per_s: float, warm_up_s: float, seconds: float) -> Heard:
    """Requests at their moments, however long the others take; a delay counts from the moment that was planned."""
    heard = Heard(per_s=per_s)
    planned: dict[str, float] = {}
    began_s, number = time.monotonic() + 0.1, 0
    total = int((warm_up_s + seconds) * per_s)
    over_s = began_s + warm_up_s + seconds + LEFT_S
    while (number < total or crowd.asking) and time.monotonic() < over_s:
        while number < total and (due_s := began_s + number / per_s) <= time.monotonic():
            if not (asked := crowd.ask(1)):
                raise AssertionError(f"all {len(crowd.asking)} pilots wait for their answers: {per_s:.0f} a second are too many")
            planned[asked[0]] = due_s
            number += 1
        answers = crowd.answers(began_s + number / per_s - time.monotonic() if number < total else 0.1)
        heard.take(answers)
        _note(heard, [(answer.at_s, planned[answer.request_id]) for answer in answers], began_s + warm_up_s)
    heard.processor_us = 1e6 * time.process_time() / max(1, number)
    # who has no answer yet has waited so long at least
    _note(heard, [(time.monotonic(), planned[request_id]) for request_id in crowd.asking], began_s + warm_up_s)
    return heard


def _note(heard: Heard, moments: Sequence[tuple[float, float]], since_s: float) -> None:
    heard.delays_ms += [1000 * (late_s - due_s) for late_s, due_s in moments if due_s > since_s]


def finish(crowd: Crowd, heard: Heard) -> None:
    """All requests have been answered, or wait in vain."""
    silent_since_s = time.monotonic()
    while crowd.asking and time.monotonic() < silent_since_s + crowd.wait_s + 5:
        if answers := crowd.answers(1.0):
            heard.take(answers)
            silent_since_s = time.monotonic()


def _told(how: Callable[..., Heard], url: str, ca_file: str, some: Sequence[Node], wait_s: int, told: Any, more: Any) -> None:
    with Crowd(url, ca_file, some, wait_s) as crowd:
        told.put(how(crowd, *more))


def in_a_process(how: Callable[..., Heard], url: str, ca_file: str, some: Sequence[Node], wait_s: int, *more: Any) -> Heard:
    """What the client hears that runs this way in a process of its own."""
    context = multiprocessing.get_context("spawn")
    told = context.Queue()
    client = context.Process(target=_told, args=(how, url, ca_file, some, wait_s, told, more), daemon=True)
    client.start()
    while client.is_alive() and told.empty():
        time.sleep(0.05)
    if told.empty() and client.exitcode:
        raise AssertionError(f"the client ended with {client.exitcode}")
    heard: Heard = told.get(timeout=60)
    client.join()
    return heard
