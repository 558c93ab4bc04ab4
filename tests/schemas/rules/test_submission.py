"""Whose the jobs of a submission are, what they need, and which of them can never run."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.rules import submission
from schemas.rules.attributes import DEFAULTS, DescriptionError
from schemas.rules.description import normalise
from schemas.rules.matching import NEEDED, digest, requirements
from schemas.rules.submission import MOST_BYTES, Denied, Judge, Owner, labels, owner_of

ADA = Owner("ada", "bes_user", "bes")
SITE = {"site": "CLOUD.CNIC.cn", "status": "active", "max_processors": 8, "max_ram_mb": None, "max_cpu_time_s": None, "tags": []}
MEMBER = {"group": "bes_user", "vo": "bes", "properties": ["NormalUser"]}
LS = normalise({"Executable": "/bin/ls"})
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "CPUTime": st.sampled_from([100, 300, 1000]),
    "Site": st.lists(st.sampled_from(["A.B.ch", "C.D.cn"]), max_size=2),
    "Tags": st.lists(st.sampled_from(["GPU", "AVX2"]), max_size=2),
    "NumberOfProcessors": st.integers(1, 3),
    "WholeNode": st.booleans(),
    "Arguments": st.sampled_from(["1", "2"]),
}


def test_who_is_in_the_group_submits_in_its_name_and_others_do_not() -> None:
    assert owner_of("ada", [MEMBER], None) == ADA
    with pytest.raises(Denied, match="you may not submit: ada is not in group juno_user"):
        owner_of("ada", [MEMBER], "juno_user")
    with pytest.raises(Denied, match="lacks NormalUser"):
        owner_of("ada", [MEMBER | {"properties": []}], None)


def test_jobs_that_need_the_same_have_one_number() -> None:
    judge = Judge(ADA, [SITE])
    needs = [LS, LS | {"Arguments": "-l"}, LS | {"CPUTime": 300}, LS | {"CPUTime": 200}]
    assert [judge.shape(job) for job in needs] == [0, 0, 1, 1]
    assert [mark for mark, _ in judge.shapes] == [digest(requirements(job, "ada", "bes_user", "bes")) for job in (LS, needs[2])]


@given(st.fixed_dictionaries({}, optional=VALUES), st.fixed_dictionaries({}, optional=VALUES))
def test_what_is_not_needed_changes_no_requirement(one: dict[str, Any], other: dict[str, Any]) -> None:
    judge = Judge(ADA, [])
    same = requirements(one, "ada", "bes_user", "bes") == requirements(other, "ada", "bes_user", "bes")
    assert (judge.shape(one) == judge.shape(other)) == same
    assert requirements({name: one[name] for name in NEEDED if name in one}, "a", "g", "v") == requirements(one, "a", "g", "v")


def test_what_no_site_has_and_what_is_too_large_is_refused() -> None:
    judge = Judge(ADA, [SITE])
    with pytest.raises(DescriptionError, match="64 processors"):
        judge.shape(LS | {"NumberOfProcessors": 64})
    with pytest.raises(DescriptionError, match="put what is large in the input sandbox"):
        judge.shape(LS | {"Arguments": "x" * MOST_BYTES})


def test_there_is_a_most_of_different_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(submission, "MOST_SHAPES", 2)
    judge = Judge(ADA, [])
    for number in (1, 2):
        judge.shape(LS | {"MinRAM": number})
    with pytest.raises(DescriptionError, match="more than 2 different things"):
        judge.shape(LS | {"MinRAM": 3})


def test_what_is_known_of_needs_has_a_bound_and_numbers_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(submission, "MOST_SHAPES", 10)
    judge = Judge(ADA, [])
    numbers = [judge.shape(LS | {"CPUTime": 1_000 + seconds}) for seconds in range(300)]
    assert (set(numbers), len(judge.shapes)) == ({0}, 1)
    assert len(judge._shapes) <= 10
    monkeypatch.setattr(submission, "MOST_SHAPES_BYTES", 10_000)
    with pytest.raises(DescriptionError, match="or 10000 bytes of them"):
        judge.shape(LS | {"Tags": ["x" * 10_000]})


def test_what_has_columns_of_its_own_is_named() -> None:
    defaults = {"job_name": DEFAULTS["JobName"], "job_group": DEFAULTS["JobGroup"], "job_type": "User", "priority": 1}
    assert labels(LS) == defaults
