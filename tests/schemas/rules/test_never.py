"""matching.never: what no known site can ever take is told in one sentence, and nothing else is."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.rules.attributes import DescriptionError
from schemas.rules.matching import fits, masked, never, unmet
from tests.schemas.rules.test_matching import SITES, TAGS, attributes, needs, resource


def site(name: str, **limits: Any) -> dict[str, Any]:
    """Give a site's row; what is not said is unknown."""
    nothing = {"max_processors": None, "max_ram_mb": None, "max_cpu_time_s": None, "tags": None}
    return {"site": name, "status": "active", **nothing, **limits}


@pytest.mark.parametrize(
    ("wanted", "sites", "sentence"),
    [
        ({}, [], None),
        ({"Site": "A"}, [], None),
        ({}, [site("A")], None),
        ({"Site": ["A", "B"]}, [site("A")], None),
        (
            {"Site": "CLOUD.CNIC.cm"},
            [site("CLOUD.CNIC.cn")],
            "no site is called CLOUD.CNIC.cm, did you mean CLOUD.CNIC.cn?",
        ),
        ({"Site": "x"}, [site("CLOUD.CNIC.cn")], "no site is called x"),
        ({"BannedSites": "A"}, [site("A")], "BannedSites bans every site the job could run at: A"),
        ({"Site": "A"}, [site("A", status="banned"), site("B")], "every site the job could run at is banned: A"),
        ({}, [site("A", status="banned"), site("B")], None),
        ({"Site": "A", "JobType": "Test"}, [site("A", status="banned"), site("B")], None),
        (
            {"Site": "A", "JobType": "Test", "MinRAM": 4096},
            [site("A", status="banned", max_ram_mb=2048)],
            "the job needs 4096 MB of memory, but the most at any site it could run at is 2048, at A",
        ),
        (
            {"NumberOfProcessors": 64},
            [site("A", max_processors=8), site("B", max_processors=16)],
            "the job needs 64 processors, but the most at any site it could run at is 16, at B",
        ),
        ({"NumberOfProcessors": 64}, [site("A", max_processors=8), site("B")], None),
        ({"NumberOfProcessors": 8}, [site("A", max_processors=1, tags=["8Processors", "MultiProcessor"])], None),
        ({"WholeNode": True}, [site("A", tags=[])], None),
        (
            {"MinRAM": 4096},
            [site("A", max_ram_mb=2048)],
            "the job needs 4096 MB of memory, but the most at any site it could run at is 2048, at A",
        ),
        (
            {"CPUTime": 90_000},
            [site("A", max_cpu_time_s=100_000)],
            "the job needs 172800 s of CPUTime, but the most at any site it could run at is 100000, at A",
        ),
        ({"Tags": "gpu"}, [site("A", tags=["x"]), site("B", tags=[])], "no site the job could run at has the tag gpu"),
        ({"Tags": "gpu"}, [site("A", tags=["x"]), site("B")], None),
        (
            {"Tags": "gpu", "MinRAM": 4096},
            [site("A", tags=[], max_ram_mb=8000), site("B", tags=["gpu"], max_ram_mb=10)],
            "no site has all that the job needs at once: A falls short in tag gpu; B falls short in MB of memory",
        ),
    ],
)
def test_what_no_known_site_can_take_is_told(wanted: dict[str, Any], sites: list[dict[str, Any]], sentence: str | None) -> None:
    assert never(needs(**wanted), sites) == sentence


@given(
    attributes,
    st.sampled_from(SITES),
    st.tuples(st.integers(1, 4), st.sampled_from([2048, 8000]), st.sampled_from([86_400, 1_000_000])),
    st.lists(st.sampled_from(TAGS)),
    st.sampled_from(["active", "banned"]),
    st.sampled_from(["User", "Test"]),
)
def test_what_a_resource_of_a_site_takes_is_never_called_impossible(
    wanted: dict[str, Any], name: str, numbers: tuple[int, int, int], tags: list[str], status: str, job_type: str
) -> None:
    processors, ram_mb, cpu_time_s = numbers
    try:
        need = needs(**{**wanted, "JobType": job_type})
    except DescriptionError:
        return
    row = site(name, status=status, max_processors=processors, max_ram_mb=ram_mb, max_cpu_time_s=cpu_time_s, tags=tags)
    offer = resource(Site=name, NumberOfProcessors=processors, MaxRAM=ram_mb, CPUTime=cpu_time_s, Tag=tags, GridCE="ANY",
                     Platform="ANY", WholeNode=True, NumberOfGPUs=1)  # fmt: skip
    offer = masked(offer, status)
    if fits(offer, need):
        assert never(need, [row]) is None
    else:
        assert unmet(offer, need)


@pytest.mark.parametrize("said", [None, "User", "Test", ["MCSimulation", "User"], "ANY"])
def test_a_banned_site_takes_tests_alone_whatever_its_pilot_says(said: Any) -> None:
    offer = resource(JobType=said)
    for job_type in ("User", "Test", "MCSimulation"):
        need = needs(JobType=job_type)
        assert fits(masked(offer, "banned"), need) == (job_type == "Test")
        for status in ("active", None):
            assert masked(offer, status) == offer


def test_a_pilot_that_bans_tests_gets_nothing_at_a_banned_site() -> None:
    assert not fits(masked(resource(BannedJobType="Test"), "banned"), needs(JobType="Test"))
