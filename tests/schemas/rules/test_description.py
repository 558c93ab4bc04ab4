"""description: however it was written, one job has one description; what cannot be a job is told in one sentence."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.rules.attributes import ALIASES, DEFAULTS, LISTS, NUMBERS, TEXTS, DescriptionError
from schemas.rules.description import load, normalise
from schemas.rules.jdl import JdlError, dump
from tests.schemas.rules.test_jdl import BESIII

BESIII_NORMALISED = {
    **DEFAULTS,
    "Executable": "/bin/lis",
    "Site": ["CLOUD.CNIC.cn"],
    "OutputSandbox": ["std.err", "std.out"],
}

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=6,
)
names = st.sampled_from([*TEXTS, *NUMBERS, *LISTS, *ALIASES, "WholeNode", "Parameters", "Parameters.X", "Owner"])
words = st.sampled_from(["a", "b.root", "LCG.CERN.ch", "ANY", "any", "", "x, y"])
likely_values = words | st.integers(0, 12) | st.lists(words | st.integers(0, 9), max_size=3) | st.booleans()


def test_the_job_of_the_besiii_school_is_normalised() -> None:
    assert load(BESIII) == BESIII_NORMALISED


def test_jdl_json_and_a_dictionary_give_the_same() -> None:
    raw = {"executable": "/bin/lis", "Sites": "CLOUD.CNIC.cn", "outputsandbox": ["std.err", "std.out"]}
    assert normalise(raw) == load(json.dumps(raw), "json") == load(dump(raw), "jdl") == BESIII_NORMALISED


def test_the_defaults_are_diracs() -> None:
    assert normalise({"Executable": "x"}) == {
        "Executable": "x",
        "JobName": "Unknown",
        "JobGroup": "NoGroup",
        "JobType": "User",
        "StdOutput": "std.out",
        "StdError": "std.err",
        "CPUTime": 86400,
        "Priority": 1,
    }


def test_what_the_server_derives_is_dropped() -> None:
    raw = {"Executable": "x", "Owner": "root", "ownerGroup": "admins", "VirtualOrganization": "lhcb"}
    assert normalise(raw) == normalise({"Executable": "x"})


@pytest.mark.parametrize(
    ("written", "name", "value"),
    [
        ({"Sites": ["A", "B"]}, "Site", ["A", "B"]),
        ({"Destination": "A"}, "Site", ["A"]),
        ({"Site": "A, B"}, "Site", ["A", "B"]),
        ({"Site": "ANY"}, "Site", None),
        ({"Site": ["any", "A"]}, "Site", ["A"]),
        ({"Site": "ANY", "JobRequirements": {"Sites": "A"}}, "Site", ["A"]),
        ({"Platform": "any"}, "Platform", None),
        ({"Tag": "a", "Tags": ["b", "a"]}, "Tags", ["a", "b"]),
        ({"BannedSite": "A", "JobRequirements": {"BannedSites": ["B"]}}, "BannedSites", ["A", "B"]),
        ({"cputime": "1000"}, "CPUTime", 1000),
        ({"CPUTime": 1000.0}, "CPUTime", 1000),
        ({"JobRequirements": {"CPUTime": 1000}}, "CPUTime", 1000),
        ({"CPUTime": 1000, "jobrequirements": {"cpuTime": "1000"}}, "CPUTime", 1000),
        ({"Priority": 0}, "Priority", 0),
        ({"WholeNode": "Yes"}, "WholeNode", True),
        ({"WholeNode": 0}, "WholeNode", False),
        ({"StdOut": "out.txt"}, "StdOutput", "out.txt"),
        ({"JobName": 2024}, "JobName", "2024"),
        ({"JobName": ""}, "JobName", "Unknown"),
        ({"Arguments": True}, "Arguments", "true"),
        ({"Arguments": None}, "Arguments", None),
        ({"InputData": "LFN:/vo/a"}, "InputData", ["LFN:/vo/a"]),
        ({"OutputSandbox": ["out/*.root", "std.out"]}, "OutputSandbox", ["out/*.root", "std.out"]),
        ({"ExecutionEnvironment": {"A": 1}}, "ExecutionEnvironment", ["A=1"]),
        ({"ExecutionEnvironment": "A=1,2"}, "ExecutionEnvironment", ["A=1,2"]),
        ({"StopSigRegex": "gauss"}, "StopSigNumber", 2),
        ({"NumberOfProcessors": 1024}, "NumberOfProcessors", 1024),
        ({"MinRAM": 100, "MaxRAM": 0}, "MaxRAM", 0),
        ({"parameters.Energy": [1, 2], "Parameters": 2}, "Parameters.Energy", [1, 2]),
        ({"CPUTime": "%s", "Parameters": [1000]}, "CPUTime", "%s"),
    ],
)
def test_every_way_to_write_it_gives_one(written: dict[str, Any], name: str, value: object) -> None:
    assert normalise({"Executable": "x", **written}).get(name) == value


@pytest.mark.parametrize(
    ("written", "sentence"),
    [
        ({"Exectuable": "y"}, "unknown attribute Exectuable, did you mean Executable?"),
        ({"BanedSites": "y"}, "unknown attribute BanedSites, did you mean BannedSites?"),
        ({"JobRequirements": {"CPUTim": 5}}, "unknown attribute CPUTim, did you mean CPUTime?"),
        ({"Qqqq": "y"}, "unknown attribute Qqqq"),
        ({"Parameters.": [1]}, "unknown attribute Parameters., did you mean Parameters?"),
        ({"Executable": ""}, "Executable is missing"),
        ({"CPUTime": 99}, "CPUTime must be 100 to 500000 and not 99"),
        ({"CPUTime": 500_001}, "CPUTime must be 100 to 500000 and not 500001"),
        ({"CPUTime": "a day"}, "CPUTime must be a whole number and not 'a day'"),
        ({"CPUTime": True}, "CPUTime must be a whole number and not True"),
        ({"CPUTime": float("nan")}, "CPUTime must be a whole number and not nan"),
        ({"CPUTime": "%s"}, "CPUTime must be a whole number and not '%s'"),
        ({"Priority": 11}, "Priority must be 0 to 10 and not 11"),
        ({"Priority": -1}, "Priority must be 0 to 10 and not -1"),
        ({"NumberOfProcessors": 1025}, "NumberOfProcessors must be 1 to 1024 and not 1025"),
        ({"JobGroup": "x" * 33}, "JobGroup must have at most 32 characters, it has 33"),
        ({"JobName": ["x"]}, "JobName must be text and not a list of 1"),
        ({"JobName": "\0"}, "JobName holds a character that cannot be stored"),
        ({"JobName": "\ud800"}, "JobName holds a character that cannot be stored"),
        ({"JobName": 10**5000}, "JobName must be text and not a number beyond 2**63"),
        ({"WholeNode": "maybe"}, "WholeNode must be true or false and not 'maybe'"),
        (
            {"OutputSandbox": ["a", "/etc/passwd"]},
            "OutputSandbox must be a plain relative file name without .. and not '/etc/passwd'",
        ),
        ({"OutputSandbox": "a/../../b"}, "OutputSandbox must be a plain relative file name without .. and not 'a/../../b'"),
        ({"OutputSandbox": "a\nb"}, "OutputSandbox must be a plain relative file name without .. and not 'a\\nb'"),
        ({"StdOutput": "../out"}, "StdOutput must be a plain relative file name without .. and not '../out'"),
        (
            {"OutputSandbox": "LFN:/vo/a"},
            "OutputSandbox names files that the job writes and not 'LFN:/vo/a'; OutputData is for stored data",
        ),
        ({"InputData": [f"LFN:/{n}" for n in range(501)]}, "InputData names 501 files, the most is 500"),
        ({"Site": ["A", "B"], "BannedSites": ["B", "A", "C"]}, "BannedSites bans every Site the job asks for: A, B"),
        (
            {"MinNumberOfProcessors": 8, "MaxNumberOfProcessors": 4},
            "MinNumberOfProcessors is 8, more than MaxNumberOfProcessors, which is 4",
        ),
        (
            {"NumberOfProcessors": 8, "MaxNumberOfProcessors": 4},
            "NumberOfProcessors is 8, more than MaxNumberOfProcessors, which is 4",
        ),
        ({"MinRAM": 8, "MaxRAM": 4}, "MinRAM is 8, more than MaxRAM, which is 4"),
        ({"CPUTime": 1000, "JobRequirements": {"CPUTime": 2000}}, "CPUTime is given twice, as 1000 and as 2000"),
        ({"JobRequirements": 5}, "JobRequirements must be a block of attributes"),
        ({"JobRequirements": {"JobRequirements": {}}}, "JobRequirements must be a block of attributes"),
        ({"Parameters": 0}, "Parameters must be a number of jobs, at least 1, or a list of values, and not 0"),
        ({"Parameters": []}, "Parameters must be a list with at least one value"),
        ({"Parameters.X": 5, "Parameters": 5}, "Parameters.X must be a list with at least one value"),
        ({"ParameterStep": "x", "Parameters": 5}, "ParameterStep must be a number and not 'x'"),
        ({"StopSigRegex": "("}, "StopSigRegex is no regular expression: missing ), unterminated subpattern at position 0"),
        ({5: 6}, "an attribute's name must be text and not 5"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_said_in_one_sentence(written: dict[Any, Any], sentence: str) -> None:
    with pytest.raises(DescriptionError) as caught:
        normalise({"Executable": "x", **written})
    assert str(caught.value) == sentence


def test_a_job_without_an_executable_is_no_job() -> None:
    with pytest.raises(DescriptionError, match=r"^Executable is missing$"):
        normalise({})


@pytest.mark.parametrize(
    "text",
    ["", "[1]", "5", '{"Executable": "x", "Executable": "y"}', "[" * 100_000, "{", '{"CPUTime": ' + "9" * 5000 + "}"],
)
def test_text_that_is_no_json_description_is_refused(text: str) -> None:
    with pytest.raises(DescriptionError):
        load(text, "json")


def test_text_that_is_no_jdl_is_refused_with_its_place() -> None:
    with pytest.raises(JdlError, match=r"^line 1, column 15: ; is missing"):
        load("Executable = x\nSite = y;")


@given(st.dictionaries(names | st.text(max_size=8), json_values, max_size=6))
def test_whatever_is_sent_is_normalised_or_refused(raw: dict[str, Any]) -> None:
    try:
        normalised = normalise(raw)
    except DescriptionError:
        return
    assert json.loads(json.dumps(normalised)) == normalised


@given(st.dictionaries(names, likely_values, max_size=6))
def test_a_normalised_description_stays_as_it_is(raw: dict[str, Any]) -> None:
    try:
        normalised = normalise({"Executable": "x", **raw})
    except DescriptionError:
        return
    assert normalise(normalised) == normalised
    assert load(json.dumps(normalised), "json") == normalised
    assert load(dump(normalised)) == normalised
