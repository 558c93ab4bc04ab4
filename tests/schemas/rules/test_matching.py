"""matching: the predicate is DIRAC's, and every no has a reason that names its field."""

from __future__ import annotations

import timeit
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.rules.attributes import DescriptionError
from schemas.rules.description import normalise
from schemas.rules.matching import digest, fits, requirements, segment, unmet
from tests.schemas.rules.oracle import oracle

SITES = ("LCG.CERN.ch", "CLOUD.CNIC.cn", "LCG.IN2P3.fr")
TAGS = ("gpu", "cvmfs", "WholeNode", "MultiProcessor", "1Processors", "2Processors", "4Processors")


def needs(owner: str = "ada", group: str = "bes_user", vo: str = "bes", **attributes: Any) -> dict[str, Any]:
    """Give the requirements of a job with these attributes."""
    return requirements(normalise({"Executable": "x", **attributes}), owner, group, vo)


def resource(**changes: Any) -> dict[str, Any]:
    """Give a resource that takes any plain job of bes, with changes; None takes a field away."""
    plain = {
        "Site": "CLOUD.CNIC.cn", "GridCE": "ce.cnic.cn", "Platform": "Linux_x86_64", "CPUTime": 1_000_000,
        "NumberOfProcessors": 1, "MaxRAM": 2048, "Tag": [], "VirtualOrganization": ["bes"],
    }  # fmt: skip
    return {name: value for name, value in {**plain, **changes}.items() if value is not None}


def fields_of(reasons: list[str]) -> set[str]:
    """Give the fields that the reasons name; what DIRAC says in a tag is told by its number."""
    named = {reason.partition(":")[0] for reason in reasons}
    return {"Tag" if field in ("NumberOfProcessors", "WholeNode") else field for field in named}


def some(values: tuple[str, ...], largest: int = 2) -> st.SearchStrategy[list[str]]:
    """Draw few of the values."""
    return st.lists(st.sampled_from(values), max_size=largest)


def maybe(values: tuple[str, ...]) -> st.SearchStrategy[Any]:
    """Draw what a resource may say in a field: one value, some, ANY."""
    return st.sampled_from(values) | some(values) | st.sampled_from(["ANY", "any"])


attributes = st.fixed_dictionaries(
    {},
    optional={
        "Site": some(SITES),
        "BannedSites": some(SITES, 1),
        "GridCE": some(("ce.cnic.cn", "ce.cern.ch"), 1),
        "Platform": some(("Linux_x86_64", "Linux_aarch64"), 1),
        "JobType": st.sampled_from(["User", "Test"]),
        "Tags": some(TAGS),
        "CPUTime": st.sampled_from([100, 86_400, 500_000]),
        "MinRAM": st.sampled_from([0, 2048, 4096]),
        "NumberOfProcessors": st.integers(1, 4),
        "MinNumberOfProcessors": st.integers(1, 4),
        "MaxNumberOfProcessors": st.integers(1, 4),
        "WholeNode": st.booleans(),
        "NumberOfGPUs": st.integers(0, 1),
        "MinDisk": st.sampled_from([0, 10_000]),
    },
)
resources = st.fixed_dictionaries(
    {
        "CPUTime": st.sampled_from([86_400, 1_000_000]),
        "VirtualOrganization": st.sampled_from(["bes", ["bes", "lhcb"], ["lhcb"], []]),
    },
    optional={
        "Site": maybe(SITES),
        "GridCE": maybe(("ce.cnic.cn", "ce.cern.ch")),
        "Platform": maybe(("Linux_x86_64", "Linux_aarch64")),
        "JobType": maybe(("User", "Test")),
        "Tag": maybe(TAGS),
        "RequiredTag": maybe(TAGS),
        "OwnerGroup": st.sampled_from(["bes_user", ["bes_user", "bes_admin"], "lhcb_user", []]),
        "Owner": st.sampled_from(["ada", "bob"]),
        "NumberOfProcessors": st.integers(0, 5) | st.just(2000),
        "MaxRAM": st.sampled_from([0, 2048, 8000]),
        "WholeNode": st.booleans(),
        "NumberOfGPUs": st.integers(0, 2),
        "MaxDisk": st.sampled_from([0, 9_000, 10_000]),
        "BannedSite": maybe(SITES),
        "BannedTag": maybe(TAGS),
        "BannedJobType": maybe(("User", "Test")),
        "BannedGridCE": maybe(("ce.cnic.cn",)),
        "BannedPlatform": maybe(("Linux_x86_64",)),
    },
)  # fmt: skip


@settings(max_examples=1500)
@given(attributes, resources)
def test_fits_and_the_reasons_agree_with_a_naive_evaluator(wanted: dict[str, Any], offer: dict[str, Any]) -> None:
    try:
        need = needs(**wanted)
    except DescriptionError:
        return
    failing = oracle(offer, need)
    assert fields_of(unmet(offer, need)) == failing
    assert fits(offer, need) == (not failing)


def test_a_plain_job_fits_a_plain_resource() -> None:
    assert unmet(resource(), needs()) == []


@pytest.mark.parametrize(
    ("wanted", "offer", "reasons"),
    [
        ({"CPUTime": 90_000}, {"CPUTime": 100_000}, ["CPUTime: the resource has 100000, the job needs 172800"]),
        ({}, {"CPUTime": None}, ["CPUTime: the resource has 0, the job needs 86400"]),
        ({}, {"VirtualOrganization": "lhcb"}, ["VO: the resource serves lhcb, the job belongs to bes"]),
        ({}, {"VirtualOrganization": None}, ["VO: the resource serves nobody, the job belongs to bes"]),
        ({}, {"OwnerGroup": ["a", "b"]}, ["OwnerGroup: the resource serves a, b, the job belongs to bes_user"]),
        ({}, {"Owner": "bob"}, ["Owner: the resource serves bob, the job belongs to ada"]),
        ({"Site": "A"}, {}, ["Site: the resource has CLOUD.CNIC.cn, the job wants A"]),
        ({"Site": "A"}, {"Site": "ANY"}, []),
        ({"GridCE": "A"}, {"GridCE": None}, []),
        ({"Platform": ["A", "B"]}, {}, ["Platform: the resource has Linux_x86_64, the job wants A, B"]),
        ({}, {"JobType": "Test"}, ["JobType: the resource has Test, the job wants User"]),
        ({"BannedSites": "CLOUD.CNIC.cn"}, {}, ["BannedSites: the job must not run at CLOUD.CNIC.cn"]),
        ({"BannedSites": "A"}, {"Site": ["A", "B"]}, ["BannedSites: the job must not run at A, B"]),
        ({"MinRAM": 4096}, {}, ["MaxRAM: the resource has 2048, the job needs 4096"]),
        ({"MinRAM": 4096}, {"MaxRAM": None}, ["MaxRAM: the resource has 0, the job needs 4096"]),
        ({"MinDisk": 4096}, {"MaxDisk": 2048}, ["MaxDisk: the resource has 2048, the job needs 4096"]),
        ({"NumberOfGPUs": 1}, {}, ["NumberOfGPUs: the resource has 0, the job needs 1"]),
        ({"NumberOfProcessors": 8}, {"NumberOfProcessors": 4}, ["NumberOfProcessors: the resource has 4, the job needs 8"]),
        ({"NumberOfProcessors": 8}, {"NumberOfProcessors": 2000}, []),
        ({"NumberOfProcessors": 8}, {"Tag": ["8Processors", "MultiProcessor"]}, []),
        ({"MinNumberOfProcessors": 1}, {}, ["NumberOfProcessors: the resource has 1, the job needs 2"]),
        ({"Tags": "8Processors"}, {"NumberOfProcessors": 8}, []),
        ({"Tags": "1Processors"}, {"NumberOfProcessors": 1}, []),
        ({"Tags": "0Processors"}, {"NumberOfProcessors": 8}, ["Tag: the resource does not have 0Processors"]),
        ({"Tags": "2000Processors"}, {"NumberOfProcessors": 2000}, ["Tag: the resource does not have 2000Processors"]),
        (
            {"WholeNode": True}, {"NumberOfProcessors": 4},
            ["WholeNode: the resource is only a part of its node, the job needs the whole"],
        ),
        ({"WholeNode": True}, {"NumberOfProcessors": 4, "WholeNode": True}, []),
        ({"Tags": ["gpu", "cvmfs"]}, {"Tag": "cvmfs,x"}, ["Tag: the resource does not have gpu"]),
        ({"Tags": ["gpu", "cvmfs"]}, {"Tag": "Any"}, []),
        ({}, {"Tag": ["gpu"], "RequiredTag": ["gpu"]}, ["RequiredTag: the resource takes only jobs with gpu"]),
        ({"Tags": "gpu"}, {"Tag": ["gpu"], "RequiredTag": "gpu"}, []),
        (
            {"Tags": "gpu"}, {"RequiredTag": "x", "Tag": "gpu"},
            ["RequiredTag: the resource requires x, which it does not offer itself"],
        ),
        ({"NumberOfProcessors": 2}, {"NumberOfProcessors": 4, "RequiredTag": "MultiProcessor"}, []),
        ({"Tags": "gpu"}, {"Tag": "gpu", "BannedTag": ["gpu"]}, ["BannedTag: the resource refuses jobs that want gpu"]),
        ({}, {"BannedJobType": ["User", "x"]}, ["BannedJobType: the resource refuses jobs that want User"]),
        ({}, {"BannedJobType": "any"}, []),
    ],
)  # fmt: skip
def test_a_reason_names_its_field(wanted: dict[str, Any], offer: dict[str, Any], reasons: list[str]) -> None:
    assert unmet(resource(**offer), needs(**wanted)) == reasons


def test_every_reason_is_given_at_once() -> None:
    need = needs(Site="A", CPUTime=500_000, NumberOfProcessors=8, MinRAM=9000)
    reasons = unmet(resource(CPUTime=10, VirtualOrganization="x"), need)
    assert [reason.partition(":")[0] for reason in reasons] == ["CPUTime", "MaxRAM", "VO", "Site", "NumberOfProcessors"]


def test_a_pilot_never_gets_a_job_of_another_vo_whatever_it_says() -> None:
    offer = resource(VirtualOrganization=["lhcb"], OwnerGroup="bes_user", Owner="ada", VO="bes", Site="ANY", Tag="ANY")
    assert not fits(offer, needs())
    assert not fits(resource(VirtualOrganization="ANY"), needs())


@pytest.mark.parametrize(
    ("cpu_time_s", "rounded_s"),
    [(1, 360), (360, 360), (361, 1800), (86_400, 86_400), (86_401, 172_800), (9**9, 1_080_000)],
)
def test_cpu_time_is_rounded_up_to_a_segment(cpu_time_s: int, rounded_s: int) -> None:
    assert segment(cpu_time_s) == rounded_s


@pytest.mark.parametrize(
    ("wanted", "tags", "least", "most"),
    [
        ({}, [], 1, 1),
        ({"NumberOfProcessors": 1}, [], 1, 1),
        ({"NumberOfProcessors": 8}, ["8Processors", "MultiProcessor"], 8, 8),
        ({"MinNumberOfProcessors": 2}, ["2Processors", "MultiProcessor"], 2, None),
        ({"MinNumberOfProcessors": 1}, ["MultiProcessor"], 1, None),
        ({"MinNumberOfProcessors": 1, "MaxNumberOfProcessors": 1}, [], 1, 1),
        ({"MinNumberOfProcessors": 1, "MaxNumberOfProcessors": 4}, ["MultiProcessor"], 1, 4),
        ({"MaxNumberOfProcessors": 4}, [], 1, 4),
        ({"WholeNode": True}, ["MultiProcessor", "WholeNode"], 1, None),
        ({"Tags": ["b", "a"]}, ["a", "b"], 1, 1),
    ],
)
def test_the_tags_are_those_that_dirac_makes(wanted: dict[str, Any], tags: list[str], least: int, most: int | None) -> None:
    need = needs(**wanted)
    assert need["Tags"] == tags
    assert (need["MinNumberOfProcessors"], need["MaxNumberOfProcessors"]) == (least, most)


def test_equal_needs_have_equal_digests_whatever_the_order() -> None:
    one, two = needs(Site=["A", "B"], Tags=["x", "y"], CPUTime=80_000), needs(Site=["B", "A"], Tags=["y", "x"])
    assert one == two
    assert digest(one) == digest(dict(reversed(two.items())))
    assert len(digest(one)) == 16
    assert int(digest(one), 16) >= 0


@pytest.mark.parametrize("change", [{"Site": "A"}, {"Tags": "x"}, {"MinRAM": 1}, {"owner": "bob"}, {"vo": "x"}, {"CPUTime": 100}])
def test_other_needs_have_another_digest(change: dict[str, Any]) -> None:
    assert digest(needs(**change)) != digest(needs())


def test_fits_takes_microseconds() -> None:
    need, offer = needs(Site=["CLOUD.CNIC.cn", "LCG.CERN.ch"], NumberOfProcessors=2), resource(NumberOfProcessors=4)
    assert fits(offer, need)
    rounds = 2000
    best_s = min(timeit.repeat(lambda: fits(offer, need), number=rounds, repeat=5)) / rounds
    # A few microseconds on an idle machine; the bound leaves room for a busy one.
    assert best_s < 50e-6


@pytest.mark.parametrize(
    ("level", "least", "reasons"),
    [
        (None, "none", []),
        ("userns", "userns", []),
        ("apptainer", "bubblewrap", []),
        ("userns", "bubblewrap", ["Isolation: the resource keeps payloads apart by userns, the community demands bubblewrap"]),
        (None, "userns", ["Isolation: the resource keeps payloads apart by none, the community demands userns"]),
        ("prison", "userns", ["Isolation: the resource keeps payloads apart by prison, the community demands userns"]),
    ],
)
def test_a_community_may_demand_isolation(level: str | None, least: str, reasons: list[str]) -> None:
    offer, need = resource(Isolation=level), needs() | {"LeastIsolation": least}
    assert unmet(offer, need) == reasons
    assert fits(offer, need) == (not reasons)
