"""parametric: one description and its parameters become the jobs that DIRAC would make of it."""

from __future__ import annotations

import itertools
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.rules.attributes import DescriptionError
from schemas.rules.description import normalise
from schemas.rules.jdl import parse
from schemas.rules.parametric import MOST_SEQUENCES, count, expand


def jobs(text: str, limit: int = 100) -> list[dict[str, Any]]:
    """Expand a text that need not say what it executes."""
    return list(expand(parse('Executable = "x";' + text), limit))


def oracle(parameters: int | list[Any], start: float, step: float, factor: float) -> list[Any]:
    """Give the values of a sequence by DIRAC's rule, written out."""
    if isinstance(parameters, list):
        return parameters
    values: list[float] = [start * type(factor)(1) + type(step)(0)]
    while len(values) < parameters:
        values.append(values[-1] * factor + step)
    return values


def column(text: str, name: str) -> list[Any]:
    """Give one attribute of every job."""
    return [job.get(name) for job in jobs(text)]


def test_a_description_without_parameters_is_its_only_job() -> None:
    description = {"Executable": "x", "Arguments": "%s %n"}
    assert list(expand(description, 1)) == [description]
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
            "job 0: InputData = LFN:/x%s mixes text with a parameter that is a list",
        ),
        ("Parameters = {500, 1}; CPUTime = %s;", "job 1: CPUTime must be 100 to 500000 and not 1"),
        (
            'Parameters = {"a", "../b"}; OutputSandbox = {"%s"};',
            "job 1: OutputSandbox must be a plain relative file name without .. and not '../b'",
        ),
        ("Parameters = {A, B}; Site = %s; BannedSites = {B};", "job 1: BannedSites bans every Site the job asks for: B"),
    ],
)  # fmt: skip
def test_what_cannot_be_expanded_is_said_and_no_job_is_given(text: str, sentence: str) -> None:
    with pytest.raises(DescriptionError) as caught:
        jobs(text)
    assert str(caught.value) == sentence


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ("{a", "job 0: the parameter '{a' begins like a list but is none: this { is never closed"),
        ("{a}; B = {b}", "job 0: the parameter '{a}; B = {b}' begins like a list but is none: it goes on after its }"),
        ("{[A = 1]}", "job 0: the parameter '{[A = 1]}' begins like a list but is none: it goes on after its }"),
        ("{a b}", "job 0: the parameter '{a b}' begins like a list but is none: a comma is missing in the list of List"),
    ],
)
def test_what_begins_like_a_list_has_to_be_one(value: str, sentence: str) -> None:
    with pytest.raises(DescriptionError) as caught:
        list(expand({"Executable": "x", "Parameters": [value], "InputData": ["%s"]}))
    assert str(caught.value) == sentence


def test_a_list_written_as_text_may_hold_what_jdl_may() -> None:
    value = r'{"LFN:/a,b", "LFN:/c}", LFN:/d, "\"e\""}'
    job = next(expand({"Executable": "x", "Parameters": [value], "InputData": ["%s"]}))
    assert job["InputData"] == ["LFN:/a,b", "LFN:/c}", "LFN:/d", '"e"']


def test_output_data_goes_with_every_job() -> None:
    text = 'Parameters = {a, b}; OutputData = {"%s.root", "LFN:/vo/%n.root"}; OutputPath = "/run/%s"; OutputSE = {SE, "%s-SE"};'
    assert column(text, "OutputData") == [["a.root", "LFN:/vo/0.root"], ["b.root", "LFN:/vo/1.root"]]
    assert column(text, "OutputPath") == ["/run/a", "/run/b"]
    assert column(text, "OutputSE") == [["SE", "a-SE"], ["SE", "b-SE"]]


def test_a_million_jobs_are_made_one_at_a_time() -> None:
    text = 'Executable = x; Parameters = 1000000; ParameterStep = 1; ParameterStart.Seed = 5; Arguments = "%s %(Seed)s %n";'
    description = parse(text)
    tracemalloc.start()
    try:
        assert count(description) == 1_000_000
        made = expand(description)
        first = next(made)
        middle = next(itertools.islice(made, 20_000, None))
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (first["Arguments"], middle["Arguments"]) == ("1 5 000000", "20002 5 020001")
    assert peak_bytes < 1_000_000  # twenty thousand jobs would be ten times that


def test_more_jobs_than_anybody_could_make_are_counted_and_begun() -> None:
    description = {"Executable": "x", "Parameters": 2**62, "ParameterStep": 1, "Arguments": "%s"}
    assert count(description) == 2**62
    assert [job["Arguments"] for job in itertools.islice(expand(description), 3)] == ["1", "2", "3"]


def test_what_is_wrong_with_the_whole_is_said_before_the_first_job() -> None:
    with pytest.raises(DescriptionError):
        expand({"Executable": "x", "Parameters": 5}, 4)
    with pytest.raises(DescriptionError):
        expand({"Executable": "x", "Parameters": 2, "Parameters.X": [1]})


def test_what_is_wrong_with_one_job_is_said_at_its_turn() -> None:
    made = expand({"Executable": "x", "Parameters": [500, 1], "CPUTime": "%s"})
    assert next(made)["CPUTime"] == 500
    with pytest.raises(DescriptionError, match=r"^job 1: CPUTime must be"):
        next(made)


numbers = st.integers(-3, 3) | st.sampled_from([0.5, -1.0, 1.5])
plain = st.integers(-5, 99) | st.text(alphabet="abc-_ ", min_size=1, max_size=5)


@given(st.data(), st.integers(1, 12), st.sets(st.sampled_from(["X", "Y", "Seed"])), numbers, numbers, numbers)
def test_every_value_is_where_diracs_rule_puts_it(
    data: st.DataObject, total: int, names: set[str], start: float, step: float, factor: float
) -> None:
    description: dict[str, Any] = {"Executable": "x", "Parameters": total, "Arguments": "%n:%s"}
    description |= {"ParameterStart": start, "ParameterStep": step, "ParameterFactor": factor}
    wanted = {"": oracle(total, start, step, factor)}
    for name in sorted(names):
        if data.draw(st.booleans()):
            wanted[name] = data.draw(st.lists(plain, min_size=total, max_size=total))
            description[f"Parameters.{name}"] = wanted[name]
        else:
            wanted[name] = oracle(total, 1, step, 1)
            description[f"ParameterStep.{name}"] = step
        description["Arguments"] += f":%({name})s"
    made = list(expand(description))
    assert count(description) == len(made) == total
    for index, job in enumerate(made):
        values = [wanted[name][index] for name in sorted(names)]
        assert job["Arguments"] == ":".join(map(str, [str(index).zfill(len(str(total - 1))), wanted[""][index], *values]))
        assert {name: job[f"Parameter.{name}"] for name in names} == {name: str(wanted[name][index]) for name in names}


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
        expanded = list(expand(description, 30))
    except DescriptionError:
        return
    assert len(expanded) == count(description)
    assert [job["ParameterNumber"] for job in expanded] == list(range(len(expanded)))
    for job in expanded:
        assert normalise(job) == job
        assert list(expand(job, 1)) == [job]


def test_there_is_a_most_of_named_sequences() -> None:
    named = {f"ParameterStep.a{number}": 1 for number in range(MOST_SEQUENCES + 1)}
    asked = {"Executable": "x", "Parameters": 1_000_000}
    with pytest.raises(DescriptionError, match="there are 101 named sequences, the most is 100"):
        expand(asked | named)
    named.popitem()
    assert next(expand(asked | named))["Parameter.a99"] == "1"
