"""rows: each line is a job, or a row fills a template; what is wrong is told with its line; memory has a bound."""

from __future__ import annotations

import csv
import io
import itertools
import json
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.rules.attributes import DescriptionError
from schemas.rules.description import normalise
from schemas.rules.jdl import parse
from schemas.rules.rows import LONGEST, from_json_lines, from_table

TEMPLATE = parse(
    'Executable = "run.sh"; Arguments = "%(Energy)s %(Seed)s %n"; CPUTime = %(Cpu)s; InputData = {"LFN:/z", "%(Files)s"};'
)


class Endless:
    """A text that never ends and counts what has been read of it."""

    def __init__(self, piece: Callable[[int], str], head: str = "") -> None:
        self.piece, self.read_lines, self.rest, self.longest = piece, 0, head, 0

    def readline(self, size: int, /) -> str:
        self.longest = max(size, self.longest)
        if not self.rest:
            self.rest = self.piece(self.read_lines)
            self.read_lines += 1
        end = self.rest.find("\n") + 1 or len(self.rest)
        end = min(end, size)
        line, self.rest = self.rest[:end], self.rest[end:]
        return line


def table(text: str, template: str = 'Executable = "x"; Arguments = "%(A)s";') -> list[dict[str, Any]]:
    return list(from_table(parse(template), io.StringIO(text, newline="")))


def lines(text: str) -> list[dict[str, Any]]:
    return list(from_json_lines(io.StringIO(text)))


def test_every_line_is_a_job() -> None:
    text = '\ufeff{"executable": "a"}\n\n  \n{"Executable": "b", "CPUTime": 500}'
    assert lines(text) == [normalise({"Executable": "a"}), normalise({"Executable": "b", "CPUTime": 500})]
    assert lines("") == []


def test_a_line_with_parameters_is_all_its_jobs() -> None:
    text = '{"Executable": "a", "Parameters": 2, "Arguments": "%n"}\n{"Executable": "b"}\n'
    assert [(job["Executable"], job.get("Arguments")) for job in lines(text)] == [("a", "0"), ("a", "1"), ("b", None)]


GOOD = '{"Executable": "a"}\n'


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (GOOD + '\n{"Executable": }\n', "line 3, column 16: the text is not JSON: Expecting value"),
        (GOOD + '{"Exectuable": "a"}', "line 2: unknown attribute Exectuable, did you mean Executable?"),
        (GOOD + '{"Executable": "a", "Executable": "a"}', "line 2: Executable is given twice"),
        (GOOD + "5\n", "line 2: a job description has attributes with values, it is not 5"),
        (GOOD + '{"Executable": "a", "Parameters": [500, 1], "CPUTime": "%s"}', "line 2: job 1: CPUTime must be 100 to 500000"),
        (GOOD + '{"Executable": "a", "Parameters": 0}', "line 2: Parameters must be a number of jobs"),
        (GOOD + "\n" + '{"Executable": "\udcff"}', "line 3: is not text in UTF-8"),
        (GOOD + "\0\n", "line 2: is not text in UTF-8"),
        (GOOD + "[" * 100_000, "line 2: the text is not JSON"),
        (GOOD + '{"Executable": "' + "a" * LONGEST, f"line 2: more than {LONGEST} characters belong together here"),
    ],
)
def test_what_is_wrong_with_a_line_is_said_with_its_number(text: str, sentence: str) -> None:
    with pytest.raises(DescriptionError) as caught:
        lines(text)
    assert str(caught.value).startswith(sentence)
    assert caught.value.line == int(sentence.split()[1].rstrip(":,"))


def test_every_row_fills_the_template() -> None:
    text = 'Energy,Seed,Cpu,Files\r\n3.686,1,500,"{LFN:/a, LFN:/b}"\r\n\r\n4.26,2,1000,LFN:/c\r\n'
    first, second = from_table(TEMPLATE, io.StringIO(text, newline=""))
    assert (first["Arguments"], first["CPUTime"], first["InputData"]) == ("3.686 1 0", 500, ["LFN:/z", "LFN:/a", "LFN:/b"])
    assert (second["Arguments"], second["CPUTime"], second["InputData"]) == ("4.26 2 1", 1000, ["LFN:/z", "LFN:/c"])
    assert (second["Parameter.Energy"], second["ParameterNumber"]) == ("4.26", 1)
    assert normalise(second) == second


def test_a_cell_may_hold_what_csv_may() -> None:
    made = table('\ufeffA, B\n"a ""b"", c", 1\n"two\nlines",2\n,3\n,\n')
    assert [job.get("Arguments") for job in made] == ['a "b", c', "two\nlines", None]
    assert [job["Parameter.B"] for job in made] == ["1", "2", "3"]
    assert table("A\n") == []


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "line 1: the names of the columns are missing"),
        ("A,A b\n", "line 1: a column is named by letters, digits and _, separated by commas, and not 'A b'"),
        ("A;B\n1;2\n", "line 1: a column is named by letters, digits and _, separated by commas, and not 'A;B'"),
        ("A,a\n", "line 1: column a is there twice"),
        ("A,B\n1,2\n1\n", "line 3: the row has 1 cells, but there are 2 columns"),
        ("A\n1,2\n", "line 2: the row has 2 cells, but there are 1 columns"),
        ('A\n"1\n2"\n"3"4\n', "line 4: the row is not CSV: "),
        ('A\n1\n"2\n3\n', "line 3: the row is not CSV: unexpected end of data"),
        ("A\n1\n" + "a" * 200_000, "line 3: the row is not CSV: field larger than field limit"),
        ("A\nok\n\udcff\n", "line 3: is not text in UTF-8"),
        ("A\n" + '"b\n",' * (LONGEST // 4), f"line 2: more than {LONGEST} characters belong together here"),
        ("A\n1\n\0\n", "line 3: is not text in UTF-8"),
        ("A\n1\n{a\n", ""),
    ],
)
def test_what_is_wrong_with_a_row_is_said_with_the_line_in_which_it_begins(text: str, sentence: str) -> None:
    with pytest.raises(DescriptionError) as caught:
        table(text, 'Executable = "x"; Arguments = "%(A)s"; InputData = {"%(A)s"};')
    assert str(caught.value).startswith(sentence)
    assert caught.value.line == int((sentence or "line 3:").split()[1].rstrip(":"))


@pytest.mark.parametrize(
    ("template", "sentence"),
    [
        ('Executable = "x"; Arguments = "%(B)s";', "Arguments names %(B)s, but the sequences are A"),
        ('Executable = "x"; Arguments = "%s";', "Arguments names %s, but the sequences are A"),
        ('Executable = "x"; Parameters = 2;', "a template for a table has no Parameters of its own: the rows make the jobs"),
        ('Arguments = "%(A)s";', "Executable is missing"),
    ],
)
def test_a_template_that_no_row_could_fill_is_refused(template: str, sentence: str) -> None:
    with pytest.raises(DescriptionError) as caught:
        table("A\n1\n", template)
    assert str(caught.value) == sentence


def test_a_job_that_a_row_makes_is_judged() -> None:
    made = from_table(parse('Executable = "x"; CPUTime = "%(A)s";'), io.StringIO("A\n500\n1\n"))
    assert next(made)["CPUTime"] == 500
    with pytest.raises(DescriptionError, match=r"^line 3: job 1: CPUTime must be 100 to 500000 and not 1$"):
        next(made)


def read_of_many(made: Iterator[dict[str, Any]]) -> tuple[list[str], int]:
    """Give the arguments of the first five of many jobs, and the peak of memory in bytes."""
    tracemalloc.start()
    try:
        first = [job["Arguments"] for job in itertools.islice(made, 5)]
        for _ in itertools.islice(made, 20_000):
            pass
        return first, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_lines_are_read_only_as_far_as_jobs_are_asked_for() -> None:
    endless = Endless(lambda number: json.dumps({"Executable": "x", "Arguments": str(number)}) + "\n")
    first, peak_bytes = read_of_many(from_json_lines(endless))
    assert first == ["0", "1", "2", "3", "4"]
    assert endless.read_lines == 20_005
    assert peak_bytes < 1_000_000


def test_rows_are_read_only_as_far_as_jobs_are_asked_for() -> None:
    endless = Endless("{}\n".format, "A\n")
    first, peak_bytes = read_of_many(from_table(parse('Executable = "x"; Arguments = "%(A)s";'), endless))
    assert first == ["0", "1", "2", "3", "4"]
    assert endless.read_lines == 20_005
    assert peak_bytes < 1_000_000


def test_a_line_that_never_ends_is_not_read_to_its_end() -> None:
    for made in (from_json_lines, lambda text: from_table(parse('Executable = "x";'), text)):
        endless = Endless(lambda _: "a" * 2 * LONGEST, "A\n" if made is not from_json_lines else "")
        with pytest.raises(DescriptionError, match="characters belong together"):
            list(made(endless))
        assert endless.longest <= LONGEST + 1


def test_a_text_of_many_lines_may_be_longer_than_any_of_them() -> None:
    many = 2 * LONGEST // 1000
    job = json.dumps({"Executable": "x", "Arguments": "a" * 1000}) + "\n"
    assert sum(1 for _ in from_json_lines(io.StringIO(job * many))) == many
    rows = io.StringIO("A\n" + ("a" * 1000 + "\n") * many)
    assert sum(1 for _ in from_table(parse('Executable = "x";'), rows)) == many


def test_a_line_may_stand_for_no_more_jobs_than_the_limit() -> None:
    text = '{"Executable": "a", "Parameters": 3}\n'
    assert len(list(from_json_lines(io.StringIO(text), 3))) == 3
    with pytest.raises(DescriptionError, match=r"^line 1: Parameters makes 3 jobs, the limit is 2$"):
        list(from_json_lines(io.StringIO(text), 2))


@given(st.lists(st.dictionaries(st.sampled_from(["A", "B"]), st.text(max_size=8), min_size=2, max_size=2), max_size=8))
def test_what_is_written_as_a_table_fills_the_template(written: list[dict[str, str]]) -> None:
    kept = [row for row in written if any(cell.strip() for cell in row.values())]
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, ["A", "B"], quoting=csv.QUOTE_ALL)
    writer.writeheader()
    writer.writerows(written)
    text.seek(0)
    try:
        made = list(from_table({"Executable": "x", "Arguments": "<%(A)s|%(B)s>"}, text))
    except DescriptionError as error:
        assert "cannot be stored" in str(error) or "is not text in UTF-8" in str(error)
        return
    assert [job["Arguments"] for job in made] == [f"<{row['A']}|{row['B']}>" for row in kept]


@given(st.text(alphabet='A,"\n\r{}1 \0é', max_size=60))
def test_whatever_the_table_it_is_jobs_or_an_error_with_its_line(text: str) -> None:
    try:
        table(text)
    except DescriptionError as error:
        assert error.line or "names %(A)s" in str(error)


@given(st.text(alphabet='{}":,Executable 1\n[]', max_size=60) | st.text(max_size=20))
def test_whatever_the_lines_they_are_jobs_or_an_error_with_its_line(text: str) -> None:
    try:
        lines(text)
    except DescriptionError as error:
        assert error.line


def test_a_table_has_a_most_of_columns() -> None:
    many = ",".join(f"c{number}" for number in range(120_000))  # each held against all others it would take hours
    with pytest.raises(DescriptionError, match="line 1: there are 120000 columns, the most is 1000"):
        next(from_table({"Executable": "x"}, io.StringIO(f"{many}\n")))
