"""parametric: one description and its parameters become the jobs that DIRAC would make of it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.rules.description import DescriptionError, normalise
from schemas.rules.jdl import parse
from schemas.rules.parametric import count, expand


def jobs(text: str, limit: int = 100) -> list[dict[str, Any]]:
    """Expand a text that need not say what it executes."""
    return expand(parse('Executable = "x";' + text), limit)


def column(text: str, name: str) -> list[Any]:
    """Give one attribute of every job."""
    return [job.get(name) for job in jobs(text)]


def test_a_description_without_parameters_is_its_only_job() -> None:
    description = {"Executable": "x", "Arguments": "%s %n"}
    assert expand(description, 1) == [description]
    assert count(description) == 1


def test_a_list_gives_a_job_for_each_value() -> None:
    assert column('Parameters = {"a", 2, 1.5, ANY}; Arguments = "-x %s";', "Arguments") == [
        "-x a",
        "-x 2",
        "-x 1.5",
        "-x ANY",
    ]


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("Parameters = 3;", ["1", "1", "1"]),
        ("Parameters = 3; ParameterStep = 1;", ["1", "2", "3"]),
        ("Parameters = 4; ParameterStart = 10; ParameterStep = -5;", ["10", "5", "0", "-5"]),
        ("Parameters = 4; ParameterStart = 1; ParameterFactor = 2;", ["1", "2", "4", "8"]),
        ("Parameters = 3; ParameterStart = 1; ParameterStep = 1; ParameterFactor = 2;", ["1", "3", "7"]),
        ("Parameters = 3; ParameterStep = 0.5;", ["1.0", "1.5", "2.0"]),
        ("Parameters = 3; ParameterFactor = 1.5;", ["1.0", "1.5", "2.25"]),
        ("parameters = 2; PARAMETERSTEP = 1;", ["1", "2"]),
    ],
)
def test_a_number_gives_steps_that_stay_whole_or_broken_from_the_first_on(text: str, values: list[str]) -> None:
    assert column(text + 'Arguments = "%s";', "Arguments") == values
    assert column(text, "Parameter") == values


def test_named_sequences_are_put_in_by_name() -> None:
    text = """
        Parameters = {"a", "b"}; Parameters.Energy = {3, 4};
        ParameterStart.Seed = 100; ParameterStep.Seed = 1; ParameterFactor.Seed = 2;
        Arguments = "%s %(Energy)s %(Seed)s"; JobName = "run_%(Seed)s";
    """
    assert column(text, "Arguments") == ["a 3 100", "b 4 201"]
    assert column(text, "JobName") == ["run_100", "run_201"]


def test_the_index_is_as_wide_as_the_last_one_and_the_job_id_is_left() -> None:
    assert column('Parameters = 2; Arguments = "%n %j";', "Arguments") == ["0 %j", "1 %j"]
    assert column('Parameters = 10; Arguments = "%n";', "Arguments")[-1] == "9"
    assert column('Parameters = 11; Arguments = "%n";', "Arguments")[1::9] == ["01", "10"]


def test_an_expanded_job_says_its_parameters_and_loses_the_sequences() -> None:
    text = 'Parameters = {"a", "b"}; Parameters.X = {{"c", "d"}, {}}; ParameterStart = 5; Priority = 3;'
    job = jobs(text)[0]
    assert not [name for name in job if name.startswith(("Parameters", "ParameterS", "ParameterF"))]
    assert (job["Parameter"], job["Parameter.X"], job["ParameterNumber"]) == ("a", ["c", "d"], 0)
    assert (job["Executable"], job["Priority"]) == ("x", 3)


@pytest.mark.parametrize("written", ['{{"LFN:/a", "LFN:/b"}, "LFN:/c"}', '{"{LFN:/a, LFN:/b}", "LFN:/c"}'])
def test_a_list_among_the_values_is_spliced_into_a_list(written: str) -> None:
    text = f'Parameters = {written}; InputData = {{"LFN:/z", "%s"}}; InputSandbox = "%s"; Arguments = "%s";'
    assert column(text, "InputData") == [["LFN:/z", "LFN:/a", "LFN:/b"], ["LFN:/z", "LFN:/c"]]
    assert column(text, "InputSandbox") == [["LFN:/a", "LFN:/b"], ["LFN:/c"]]
    assert column(text, "Arguments") == ["{LFN:/a, LFN:/b}", "LFN:/c"]


def test_a_number_or_a_site_may_be_a_parameter() -> None:
    text = "Parameters = {500, 1000}; Parameters.S = {A, B}; CPUTime = %s; JobRequirements = [Sites = %(S)s];"
    assert column(text, "CPUTime") == [500, 1000]
    assert column(text, "Site") == [["A"], ["B"]]


def test_a_value_is_not_searched_for_placeholders_again() -> None:
    assert column('Parameters = {"%n", "%(X)s"}; Parameters.X = {1, 2}; Arguments = "%s";', "Arguments") == [
        "%n",
        "%(X)s",
    ]


def test_without_named_sequences_an_unknown_name_is_plain_text() -> None:
    assert column('Parameters = 1; Arguments = "%(levelname)s";', "Arguments") == ["%(levelname)s"]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("Parameters = 101;", "Parameters makes 101 jobs, the limit is 100"),
        ("Parameters = 9000000000000000000;", "Parameters makes 9000000000000000000 jobs, the limit is 100"),
        ("Parameters = 3; Parameters.X = {1, 2};", "Parameters.X has 2 values, but Parameters makes 3 jobs"),
        ("Parameters.X = {1, 2};", "Parameters is missing: it says how many jobs the named sequences make"),
        ("ParameterStart = 2;", "Parameters is missing: it says how many jobs the named sequences make"),
        (
            'Parameters = 1; Parameters.Seed = {1}; Arguments = "%(Sede)s";',
            "Arguments names %(Sede)s, but the sequences are Seed",
        ),
        ("Parameters = 100; ParameterFactor = 1000;", "ParameterFactor and ParameterStep lead beyond 2**63 at job 7"),
        (
            'Parameters = {{"a", "b"}}; InputData = {"LFN:/x%s"};',
            "InputData = LFN:/x%s mixes text with a parameter that is a list",
        ),
        ("Parameters = {500, 1}; CPUTime = %s;", "CPUTime must be 100 to 500000 and not 1"),
        (
            'Parameters = {"a", "../b"}; OutputSandbox = {"%s"};',
            "OutputSandbox must be a plain relative file name without .. and not '../b'",
        ),
        ("Parameters = {A, B}; Site = %s; BannedSites = {B};", "BannedSites bans every Site the job asks for: B"),
    ],
)  # fmt: skip
def test_what_cannot_be_expanded_is_said_and_no_job_is_given(text: str, sentence: str) -> None:
    with pytest.raises(DescriptionError) as caught:
        jobs(text)
    assert str(caught.value) == sentence


@given(
    st.integers(1, 30) | st.lists(st.integers() | st.text(min_size=1, max_size=5), min_size=1, max_size=30),
    st.integers(-5, 5) | st.floats(-2, 2),
    st.sampled_from(["%s", "%s-%n", "%n", "plain", "%%s", "%j %s"]),
)
def test_the_jobs_are_as_many_as_counted_and_are_descriptions_themselves(parameters: Any, step: float, arguments: str) -> None:
    description = {
        "Executable": "x", "Arguments": arguments, "Parameters": parameters, "ParameterStep": step,
        "InputSandbox": [arguments],
    }  # fmt: skip
    try:
        expanded = expand(description, 30)
    except DescriptionError:
        return
    assert len(expanded) == count(description)
    assert [job["ParameterNumber"] for job in expanded] == list(range(len(expanded)))
    for job in expanded:
        assert normalise(job) == job
        assert expand(job, 1) == [job]
