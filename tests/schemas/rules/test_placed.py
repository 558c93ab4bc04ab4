"""A template's job by its place is the one that expanding all of them gives there."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from schemas.rules.attributes import DescriptionError
from schemas.rules.description import normalise
from schemas.rules.parametric import expand
from schemas.rules.placed import EVERY, MOST_KNOWN, Placed, Templates, body_of, body_of_table, described
from schemas.rules.rows import from_table

ECHO = {"Executable": "/bin/echo", "Arguments": "%s %n", "JobName": "echo_%n"}
SWEEPS: list[dict[str, Any]] = [
    {"Parameters": 3},
    {"Parameters": ["a", "b", "c"]},
    {"Parameters": 2 * EVERY + 7, "ParameterStart": 5, "ParameterStep": 3},
    {"Parameters": 2 * EVERY + 7, "ParameterStart": 0.1, "ParameterStep": 0.1},
    {"Parameters": 60, "ParameterStart": 1, "ParameterFactor": 2},
    {"Parameters": 4, "ParameterStart": 1, "ParameterFactor": 1.0},
    {
        "Parameters": 2,
        "Parameters.X": [["a", "b"], ["c"]],
        "InputSandbox": ["%(X)s"],
        "ParameterStart.Y": 7,
        "ParameterStep.Y": 2,
    },
]


@pytest.mark.parametrize("sweep", SWEEPS, ids=str)
def test_each_job_is_the_same_by_its_place(sweep: dict[str, Any]) -> None:
    body = json.loads(json.dumps(body_of(ECHO | sweep)))
    made = Placed(body)
    jobs = list(expand(normalise(ECHO | sweep)))
    assert len(jobs) == body["count"]
    assert [made.job(place) for place in range(len(jobs))] == jobs


def test_each_row_of_a_table_is_the_same_by_its_place_and_cells() -> None:
    template = {"Executable": "/bin/echo", "Arguments": "%(Energy)s %n", "CPUTime": "%(Time)s"}
    jobs = list(from_table(template, io.StringIO("Energy,Time\n3.09,200\n3.68,400\n")))
    made = Placed(json.loads(json.dumps(body_of_table(normalise(template, template=True), ["Energy", "Time"]))))
    assert [made.job(0, ["3.09", "200"]), made.job(1, ["3.68", "400"])] == jobs


def test_a_million_jobs_make_a_body_of_some_kilobytes() -> None:
    body = body_of(ECHO | {"Parameters": 1_000_000, "ParameterStart": 0.5, "ParameterStep": 0.25})
    assert len(json.dumps(body)) < 40_000


def test_what_is_wrong_with_the_whole_is_said_at_once() -> None:
    with pytest.raises(DescriptionError, match="beyond 2"):
        body_of(ECHO | {"Parameters": 100, "ParameterFactor": 1e9})


def test_what_differs_is_named() -> None:
    assert Placed(body_of(ECHO | {"Parameters": 2})).differing == ("JobName", "Arguments")


def test_templates_are_known_by_their_ids_and_the_oldest_is_forgotten() -> None:
    templates, row = Templates(), {"description": None, "template_id": 0, "place": 1, "cells": None}
    assert templates.unknown([row, row]) == [0]
    for number in range(MOST_KNOWN):
        templates.know(number, body_of(ECHO | {"Parameters": 2}))
    assert templates.unknown([row]) == []
    assert templates.description(row)["Arguments"] == "1 1"
    templates.know(MOST_KNOWN, body_of(ECHO | {"Parameters": 2}))
    assert templates.unknown([row]) == [0]


def test_a_row_without_a_template_has_a_description_of_its_own() -> None:
    own = {"description": ECHO, "template_id": None, "template": None, "place": None, "cells": None}
    assert Templates().unknown([own]) == []
    assert Templates().description(own) == described(own) == ECHO
    assert described(own | {"template": body_of(ECHO | {"Parameters": 2}), "place": 0})["JobName"] == "echo_0"
