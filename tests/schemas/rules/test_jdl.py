"""jdl: what users write is read, what is wrong is pointed at, and nothing makes the reader hang or crash."""

from __future__ import annotations

import string
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.rules.jdl import DEEPEST, JdlError, dump, parse

BESIII = """[
  Executable = "/bin/lis";
  JobRequirements =
  [
    CPUTime = 86400;
    Sites = "CLOUD.CNIC.cn";
  ];
  StdOutput = "std.out";
  StdError = "std.err";
  OutputSandbox =
  {
    "std.err",
    "std.out"
  };
]
"""

names = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,12}(\.[A-Za-z0-9_]{1,6})?", fullmatch=True)
scalars = (
    st.text(max_size=30)
    | st.text(alphabet='[]{};=",#/\\*\n\t %()', max_size=30)
    | st.integers(-(2**63) + 1, 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.booleans()
)


def blocks(values: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Draw attributes whose names differ by more than case."""
    pairs = st.lists(st.tuples(names, values), max_size=5, unique_by=lambda pair: pair[0].lower())
    return pairs.map(dict)


descriptions = blocks(st.recursive(scalars, lambda inner: st.lists(inner, max_size=4) | blocks(inner), max_leaves=12))


def outcome_of(text: str) -> dict[str, Any] | JdlError:
    """Read a text, or give the error that refuses it; any other exception fails the test."""
    try:
        return parse(text)
    except JdlError as error:
        return error


def test_the_job_of_the_besiii_school_is_read() -> None:
    assert parse(BESIII) == {
        "Executable": "/bin/lis",
        "JobRequirements": {"CPUTime": 86400, "Sites": "CLOUD.CNIC.cn"},
        "StdOutput": "std.out",
        "StdError": "std.err",
        "OutputSandbox": ["std.err", "std.out"],
    }


def test_the_outer_brackets_and_the_last_semicolon_may_be_absent() -> None:
    assert parse('A = 1; B = "x"') == parse('[A = 1; B = "x"]') == parse('[\nA = 1;\nB = "x";\n];') == {"A": 1, "B": "x"}
    assert parse("") == parse("[]") == parse(" # nothing\n") == {}


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("86400", 86400),
        ("-5", -5),
        ("1.5", 1.5),
        ("-2.5e3", -2500.0),
        (".5", 0.5),
        ("true", True),
        ("FALSE", False),
        ("ANY", "ANY"),
        ("007", "007"),
        ("5abc", "5abc"),
        ("%s", "%s"),
        ("%(X)s", "%(X)s"),
        ("LFN:/vo/a//b.root", "LFN:/vo/a//b.root"),
        ("root://host//file#1", "root://host//file#1"),
        ("/data/*.root", "/data/*.root"),
        ("{}", []),
        ("{ }", []),
        ('{"a", 1, ANY, {b}}', ["a", 1, "ANY", ["b"]]),
        ('{"a", "b",}', ["a", "b"]),
        ("[]", {}),
        ("[B = [C = 1]]", {"B": {"C": 1}}),
        (r'"say \"hi\" \\ \t"', 'say "hi" \\ \t'),
        (r'"a\d+"', r"a\d+"),
        ('"[ { ; # // /* ="', "[ { ; # // /* ="),
        ("86400// seconds\n", 86400),
    ],
)
def test_a_value_is_what_was_meant(written: str, value: object) -> None:
    read = parse(f"A = {written};\nLast = 1;")
    assert read == {"A": value, "Last": 1}
    assert type(read["A"]) is type(value)


def test_comments_are_passed_over_wherever_a_token_could_stand() -> None:
    text = '# one\n[ // two\nA = 1; # three\n  # four\nB /* five\n; */ = {1, /* six */ 2}; /* " */ ] // seven'
    assert parse(text) == {"A": 1, "B": [1, 2]}


def test_dotted_names_stay_whole() -> None:
    assert parse("Parameters.Energy = {1, 2};") == {"Parameters.Energy": [1, 2]}


@pytest.mark.parametrize(
    ("text", "line", "column", "reason", "suggestion"),
    [
        ("A = 1\nB = 2;", 1, 6, "; is missing", "add ;"),
        ("[\nA = [B = 1]\nC = 2;]", 2, 12, "; is missing", "add ;"),
        ('A = 1;\nB = "x;\nC = 2;', 2, 5, "not closed", 'add the missing "'),
        ('A = {"x", "y";\nB = 2;', 1, 5, "this { is never closed", "}"),
        ('A = {"x", "y"\nB = 2;', 1, 5, "this { is never closed", "}"),
        ("A = 1;\n\n  [", 3, 3, "name should stand here", ""),
        ("[\n A = [\n B = 1;\n", 2, 6, "this [ is never closed", "]"),
        ("A = /* x", 1, 5, "comment is never closed", "*/"),
        ('Executable "/bin/ls";', 1, 11, "= is missing after Executable", "Executable = value;"),
        ('Executable: "/bin/ls";', 1, 1, "= is missing after Executable", "not :"),
        ("A = 1;\nB = 2;\n A = 3;", 3, 2, "A was already given in line 1", "remove"),
        ("Site = x;\nsite = y;", 2, 1, "already given in line 1", "remove"),
        ("A = foo bar;", 1, 9, "more than one value", "quotes"),
        ("A = 1, 2;", 1, 6, "more than one value", "{ }"),
        ("A = ;", 1, 5, "A has no value", '""'),
        ('A = {"a" "b"};', 1, 9, "comma is missing", ","),
        ("A == 1;", 1, 4, "no expressions", "="),
        ("A = 'x';", 1, 5, "no quote of JDL", '"'),
        ("A = \u201cx\u201d;", 1, 5, "no quote of JDL", '"'),
        ('"A" = 1;', 1, 1, "name should stand here", "without quotes"),
        ("A = 1; ]", 1, 8, "closes nothing", "remove"),
        ("[A = 1;] x", 1, 9 + 1, "nothing may follow", ""),
        ("A = 1e999;", 1, 5, "too large", "quotes"),
        ("A = " + "9" * 5000 + ";", 1, 5, "too large", "quotes"),
    ],
)
def test_an_error_says_where_why_and_how_to_mend_it(text: str, line: int, column: int, reason: str, suggestion: str) -> None:
    with pytest.raises(JdlError) as caught:
        parse(text)
    error = caught.value
    assert (error.line, error.column) == (line, column)
    assert reason in error.reason
    assert suggestion in error.suggestion
    assert str(error).startswith(f"line {line}, column {column}: {error.reason}")
    assert error.suggestion in str(error)


@pytest.mark.parametrize("opening", ["A = " + "{" * 100_000, "A = [" * 100_000, "{" * 100_000, "A = {[" * 100_000])
def test_depth_is_refused_and_does_not_crash(opening: str) -> None:
    with pytest.raises(JdlError):
        parse(opening)


def test_as_deep_as_allowed_is_read() -> None:
    depth = DEEPEST - 1
    assert dump(parse("A = " + "{" * depth + "}" * depth)).count("{") == depth


@settings(max_examples=500)
@given(
    st.text(max_size=200)
    | st.text(alphabet="AB[]{};=,#/*\\\n .1-e%()s" + '"', max_size=200)
    | st.lists(st.sampled_from(["A", '"', "=", ";", "[", "]", "{", "}", ",", "1", "//", "/*", "*/", "#", "\n", " "])).map("".join)
)  # fmt: skip
def test_whatever_the_text_it_is_read_or_refused_with_a_place_in_it(text: str) -> None:
    outcome = outcome_of(text)
    if isinstance(outcome, JdlError):
        lines = text.split("\n")
        assert 1 <= outcome.line <= len(lines)
        assert 1 <= outcome.column <= len(lines[outcome.line - 1]) + 1
        assert str(outcome).startswith("line ")


@given(st.integers(0, len(BESIII)), st.integers(0, 3), st.text(alphabet=string.punctuation, max_size=2))
def test_a_typing_mistake_never_crashes(place: int, lost: int, typed: str) -> None:
    outcome = outcome_of(BESIII[:place] + typed + BESIII[place + lost :])
    assert isinstance(outcome, (dict, JdlError))


@given(descriptions)
def test_what_is_written_is_read_as_it_was(description: dict[str, Any]) -> None:
    assert parse(dump(description)) == description


@pytest.mark.parametrize(
    "unsayable",
    [{"a b": 1}, {"A": None}, {"A": float("nan")}, {"A": 2**70}, {"A": object()}, {"A": 1, "a": 2}, {"": 1}],
)
def test_what_jdl_cannot_say_is_not_written(unsayable: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"JDL has no way|name of an attribute|upper and lower"):
        dump(unsayable)


@pytest.mark.parametrize(
    "piece",
    [
        'A@ = "x";\n',
        "/* x */ ",
        "// \n",
        "#\n",
        ";",
        "1",
        '"',
        "\\",
        "[",
        "A = {",
        "-",
        "1.",
        "a",
        '"\\',
        "/*",
        "1e",
        " ",
    ],
)
@pytest.mark.parametrize("before", ["", "A = ", "A = {", '"'])
def test_time_grows_with_length_only(before: str, piece: str) -> None:
    text = before + "".join(piece.replace("@", str(number)) for number in range(400_000 // len(piece)))
    start = time.process_time()
    outcome_of(text)
    # Quadratic reading of 400 kB takes minutes.
    assert time.process_time() - start < 5
