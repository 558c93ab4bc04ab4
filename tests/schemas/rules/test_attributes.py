"""attributes: all that DIRAC's users may say of a job is known, with its bounds, its default and its other spellings."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.rules import attributes
from schemas.rules.attributes import ALIASES, BLOCK, DEFAULTS, DROPPED, LISTS, NUMBERS, OTHERS, TEXTS, DescriptionError, known
from schemas.rules.description import load, normalise
from schemas.rules.jdl import DEEPEST, JdlError, dump, parse
from schemas.rules.parametric import expand

README = Path(attributes.__file__).resolve().parents[1] / "README.md"
EXAMPLES = README.parents[1] / "deploy" / "examples"

# Every attribute of DIRAC's table, as a user would write it.
WHOLE = r"""
[
  // labels
  JobName = "reconstruction [run; 17]";   # a bracket, a semicolon
  JobGroup = "bes_2026";
  JobType = "Test";
  /* the payload */
  Executable = "reconstruct.sh";
  Arguments = "--title \"a {b}\" -n 5 // not a comment # nor this";
  StdOutput = "out/std.out";
  StdError = "out/std.err";
  InputSandbox = { "reconstruct.sh", "LFN:/bes/user/a/ada/options.txt" };
  OutputSandbox = { "out/std.out", "out/std.err", "*.root" };
  InputData = { "LFN:/bes/data/1.dst", "/bes/data/2.dst" };
  InputDataPolicy = { "DIRAC.WorkloadManagementSystem.Client.DownloadInputData" };
  InputDataModule = "DIRAC.WorkloadManagementSystem.Client.InputDataResolution";
  OutputData = { "result.root", "*.hist", "LFN:/bes/user/a/ada/final.root" };
  OutputSE = { "IHEP-USER", "CERN-USER" };
  OutputPath = { "/reconstruction/17" };
  JobRequirements =
  [
    CPUTime = 3600;
    Sites = { "CLOUD.CNIC.cn", "CLOUD.IHEP.cn" };
    BannedSites = { "CLUSTER.USTC.cn" };
    Tags = { "GPU" };
  ];
  Priority = 5;
  GridCE = { "ce.ihep.ac.cn" };
  Platform = "Linux_x86_64_glibc-2.17";
  Tag = "SSD";
  NumberOfProcessors = 4;
  MinNumberOfProcessors = 2;
  MaxNumberOfProcessors = 8;
  WholeNode = false;
  NumberOfGPUs = 1;
  MinRAM = 2000;
  MaxRAM = 4000;
  MinDisk = 10000;
  ExecutionEnvironment = { "BES=1", "MODE=fast" };
  LogLevel = "DEBUG";
  JobConfigArgs = "-o /x=y";
  SoftwareDistModule = "None";
  JobPath = { "JobPath", "JobSanity" };
  Owner = "root";
  OwnerGroup = "admin";
  VirtualOrganization = "lhcb";
  StopSigRegex = "reco.*\.exe";
  StopSigNumber = 15;
  StopSigStartWork = 600;
  StopSigFinishWork = 60;
]
"""
MEANT: dict[str, Any] = {
    "JobName": "reconstruction [run; 17]", "JobGroup": "bes_2026", "JobType": "Test", "Executable": "reconstruct.sh",
    "Arguments": '--title "a {b}" -n 5 // not a comment # nor this', "StdOutput": "out/std.out", "StdError": "out/std.err",
    "InputSandbox": ["reconstruct.sh", "LFN:/bes/user/a/ada/options.txt"],
    "OutputSandbox": ["out/std.out", "out/std.err", "*.root"], "InputData": ["LFN:/bes/data/1.dst", "/bes/data/2.dst"],
    "InputDataPolicy": "DIRAC.WorkloadManagementSystem.Client.DownloadInputData",
    "InputDataModule": "DIRAC.WorkloadManagementSystem.Client.InputDataResolution",
    "OutputData": ["result.root", "*.hist", "LFN:/bes/user/a/ada/final.root"], "OutputSE": ["IHEP-USER", "CERN-USER"],
    "OutputPath": "/reconstruction/17", "CPUTime": 3600, "Site": ["CLOUD.CNIC.cn", "CLOUD.IHEP.cn"],
    "BannedSites": ["CLUSTER.USTC.cn"], "Tags": ["SSD", "GPU"], "Priority": 5, "GridCE": ["ce.ihep.ac.cn"],
    "Platform": ["Linux_x86_64_glibc-2.17"], "NumberOfProcessors": 4, "MinNumberOfProcessors": 2,
    "MaxNumberOfProcessors": 8, "WholeNode": False, "NumberOfGPUs": 1, "MinRAM": 2000, "MaxRAM": 4000, "MinDisk": 10_000,
    "ExecutionEnvironment": ["BES=1", "MODE=fast"], "LogLevel": "DEBUG", "JobConfigArgs": "-o /x=y",
    "SoftwareDistModule": "None", "JobPath": ["JobPath", "JobSanity"], "StopSigRegex": r"reco.*\.exe",
    "StopSigNumber": 15, "StopSigStartWork": 600, "StopSigFinishWork": 60,
}  # fmt: skip
SEVERAL = {*LISTS, "Parameters", "ParameterStart", "ParameterStep", "ParameterFactor", "Parameter", "ParameterNumber"}


def test_every_attribute_of_diracs_table_is_read_and_kept() -> None:
    assert load(WHOLE) == MEANT
    assert set(MEANT) == {*TEXTS, *NUMBERS, *LISTS, *OTHERS} - (SEVERAL - set(LISTS))


def test_what_is_written_as_jdl_is_read_back_equal() -> None:
    assert load(dump(load(WHOLE))) == load(WHOLE)
    assert normalise(normalise(parse(WHOLE))) == MEANT


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.jdl")), ids=lambda path: path.name)
def test_every_example_is_a_job_and_is_read_back_equal(path: Path) -> None:
    description = load(path.read_text(encoding="utf-8"))
    assert load(dump(description)) == description
    assert all(normalise(job) == job for job in expand(description))


@pytest.mark.parametrize("name", sorted(NUMBERS))
def test_a_number_is_bounded_on_both_sides(name: str) -> None:
    lowest, highest = NUMBERS[name]
    assert normalise({"Executable": "x", name: lowest})[name] == lowest
    assert normalise({"Executable": "x", name: highest})[name] == highest
    for beyond in (lowest - 1, highest + 1):
        with pytest.raises(DescriptionError, match=f"^{name} must be {lowest} to {highest} and not {beyond}$"):
            normalise({"Executable": "x", name: beyond})


@pytest.mark.parametrize("name", sorted(TEXTS))
def test_a_text_is_as_long_as_allowed_and_no_longer(name: str) -> None:
    assert normalise({"Executable": "x", name: "x" * TEXTS[name]})[name] == "x" * TEXTS[name]
    with pytest.raises(DescriptionError, match=f"^{name} must have at most {TEXTS[name]} characters"):
        normalise({"Executable": "x", name: "x" * (TEXTS[name] + 1)})


def test_diracs_bounds_and_defaults_are_ours() -> None:
    assert {name: NUMBERS[name] for name in ("CPUTime", "Priority", "MaxNumberOfProcessors")} == {
        "CPUTime": (100, 500_000), "Priority": (0, 10), "MaxNumberOfProcessors": (1, 1024),
    }  # fmt: skip
    assert TEXTS["JobGroup"] == 32
    assert (DEFAULTS["CPUTime"], DEFAULTS["Priority"], DEFAULTS["JobType"]) == (86_400, 1, "User")


@pytest.mark.parametrize("name", [*TEXTS, *NUMBERS, *LISTS, *OTHERS, *DROPPED, *ALIASES, BLOCK])
def test_a_name_is_known_in_whatever_case_and_a_slip_is_answered_with_a_name(name: str) -> None:
    assert known(name.lower()) == known(name.upper()) == ALIASES.get(name, name)
    with pytest.raises(DescriptionError, match=r"^unknown attribute \w+, did you mean \w+\?$"):
        known(name + "q")


@given(st.text())
def test_a_name_is_known_or_refused(written: str) -> None:
    try:
        assert known(known(written)) == known(written)
    except DescriptionError as error:
        assert error.attribute == written


@pytest.mark.parametrize(
    ("text", "place", "sentence"),
    [
        ('Executable = "x";\n  Sitte = "A";', "line 2, column 3", "unknown attribute Sitte, did you mean Site?"),
        ('Executable = "x";\nJobRequirements = [\n    CPUTim = 5; ];', "line 3, column 5", "did you mean CPUTime?"),
        ('[\n Executable = "x";\n\tMaxCPUTime = 5;\n]', "line 3, column 2", "CPUTime must be 100 to 500000 and not 5"),
        ("Executable = x;\nTag = a;\nMinRAM = 5; MaxRAM = 4;", "line 3, column 1", "MinRAM is 5, more than MaxRAM"),
        ("Executable = x; Site = A;\nBannedSites = A;", "line 2, column 1", "BannedSites bans every Site"),
        ('\ufeffExecutable = "";', "line 1, column 1", "Executable is missing"),
        ("Executable = x; JobRequirements = 5;", "line 1, column 17", "JobRequirements must be a block of attributes"),
        ("Executable = x; OutputPath = {a, b};", "line 1, column 17", "OutputPath must be text and not a list of 2"),
    ],
)
def test_what_is_wrong_with_an_attribute_is_said_with_its_place(text: str, place: str, sentence: str) -> None:
    with pytest.raises(JdlError) as caught:
        load(text)
    assert str(caught.value).startswith(f"{place}: ")
    assert sentence in str(caught.value)
    assert str(caught.value).startswith(f"line {caught.value.line}, column {caught.value.column}: ")


@given(st.integers(0, len(WHOLE)), st.integers(0, 4), st.text(alphabet='[]{};=",#/*\\\n 5ax%', max_size=3))
def test_whatever_is_typed_there_is_a_job_or_the_one_error(place: int, lost: int, typed: str) -> None:
    try:
        description = load(WHOLE[:place] + typed + WHOLE[place + lost :])
    except DescriptionError as error:
        assert "\n" not in str(error)
        return
    assert load(dump(description)) == description


@pytest.mark.parametrize(
    ("written", "name", "value"),
    [
        ({"OutputPath": ["/my/path"]}, "OutputPath", "/my/path"),
        ({"OutputPath": "LFN:/bes/user/a/ada"}, "OutputPath", "LFN:/bes/user/a/ada"),
        ({"OutputData": "a.root"}, "OutputData", ["a.root"]),
        ({"OutputData": ["lfn:/bes/a.root", "out/*.root"]}, "OutputData", ["lfn:/bes/a.root", "out/*.root"]),
        ({"OutputSE": ["B", "A"]}, "OutputSE", ["B", "A"]),
        ({"JobRequirements": {"UserPriority": 3}}, "Priority", 3),
        ({"Setup": "BES-Production", "OwnerName": "ada"}, "Setup", None),
    ],
)
def test_output_data_is_carried(written: dict[str, Any], name: str, value: object) -> None:
    assert normalise({"Executable": "x", **written}).get(name) == value


@pytest.mark.parametrize(
    ("written", "sentence"),
    [
        ({"OutputPath": "/a/../../b"}, "OutputPath must be a plain path without .. and not '/a/../../b'"),
        ({"OutputData": "LFN:/bes/../a"}, "OutputData must be a plain path without .. and not 'LFN:/bes/../a'"),
        ({"OutputData": "../a"}, "OutputData must be a plain relative file name without .. and not '../a'"),
        ({"OutputData": ["a", "/etc/passwd"]}, "OutputData must be a plain relative file name without .. and not '/etc/passwd'"),
        ({"OutputPath": "a\nb"}, "OutputPath must be a plain path without .. and not 'a\\nb'"),
    ],
)
def test_output_data_stays_inside(written: dict[str, Any], sentence: str) -> None:
    with pytest.raises(DescriptionError) as caught:
        normalise({"Executable": "x", **written})
    assert str(caught.value) == sentence


def test_the_one_error_comes_of_depth_too() -> None:
    for text in ("A = " + "{" * (DEEPEST + 1), "JobRequirements = [" * 100):
        with pytest.raises(DescriptionError):
            load(text)


def test_every_attribute_is_explained_with_its_bounds_and_default() -> None:
    rows = {}
    for line in README.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| `") and len(cells) == 4:
            rows.update(dict.fromkeys(re.findall(r"`([^`]+)`", cells[0]), cells))
    for name in (*TEXTS, *NUMBERS, *LISTS, *OTHERS):
        assert name in rows, name
        lowest, highest = NUMBERS.get(name, (None, None))
        if lowest is not None:
            assert f"{lowest}…{highest}" in rows[name][1], name
        assert rows[name][2].strip("`") == str(DEFAULTS.get(name, "")), name
        spellings = {alias for alias, meant in ALIASES.items() if meant == name}
        assert set(re.findall(r"`(\w+)`", rows[name][3].partition("also")[2])) == spellings, name
