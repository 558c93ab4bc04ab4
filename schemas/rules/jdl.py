"""The Job Description Language as DIRAC's users write it: text to a dictionary and back, and errors that point."""

from __future__ import annotations

import math
import re
from typing import Any, Callable, NoReturn

from schemas.rules.attributes import DescriptionError

Value = Any  # a string, a number, a boolean, a list of values or a block of attributes

DEEPEST = 32
LARGEST = 2**63 - 1

# No alternative can take back what an earlier repetition took, so reading stays linear whatever the text.
_TOKEN = re.compile(
    r"""
      (?P<blank>\s+ | //[^\n]* | \#[^\n]* | /\*.*?\*/)
    | (?P<string>"[^"\\\n]*(?:\\[^\n][^"\\\n]*)*")
    | (?P<mark>[\[\]{};,=])
    | (?P<number>[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?(?=[\s\[\]{};,="\#]|//|/\*|\Z))
    | (?P<word>[^\s\[\]{};,="]+)
    """,
    re.VERBOSE | re.DOTALL,
)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*")
_BEFORE_EQUALS = re.compile(r"\s*=(?!=)")
_KEPT_AS_TEXT = re.compile(r"[-+]?0[0-9]+")  # 007 names something; as a number its zeros would be lost
_LONGEST_NUMBER = 320
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_ESCAPED = {'"': '"', "\\": "\\", "n": "\n", "t": "\t", "r": "\r"}
_TO_ESCAPE = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}
_NEEDS_ESCAPE = re.compile(r'["\\\n\t\r]')
_CURLY_QUOTES = "\u201c\u201d\u201e\u2018\u2019\u00ab\u00bb"
_END = "end"


class JdlError(DescriptionError):
    """The text is not JDL: where, why, and what would mend it when that is plain."""

    def __init__(self, line: int, column: int, reason: str, suggestion: str = "") -> None:
        """Remember place, reason and suggestion."""
        super().__init__(reason, line=line)
        self.column = column
        self.reason = reason
        self.suggestion = suggestion

    def __str__(self) -> str:
        """Give the place, the reason and the suggestion as one sentence."""
        hint = f"; {self.suggestion}" if self.suggestion else ""
        return f"line {self.line}, column {self.column}: {self.reason}{hint}"


class _Reader:
    """The text with one token in view."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.kind = self.word = ""
        self.start = self.end = self.last_end = 0
        self.names: list[tuple[str, int]] = []
        self.advance()

    def advance(self) -> None:
        """Bring the next token into view, blanks and comments passed over."""
        self.last_end = self.end
        at = self.end
        while at < len(self.text):
            found = _TOKEN.match(self.text, at)
            if found is None:
                self.refuse("this string is not closed on its line", 'add the missing "', at)
            if found.lastgroup != "blank":
                self.kind = found.group() if found.lastgroup == "mark" else str(found.lastgroup)
                self.word, self.start, self.end = found.group(), at, found.end()
                if self.kind == "word" and self.word.startswith("/*"):
                    self.refuse("this comment is never closed", "add */", at)
                return
            at = found.end()
        self.kind, self.word, self.start, self.end = _END, "", at, at

    def take(self, kind: str) -> bool:
        """Say whether the token in view is of this kind, and pass it when it is."""
        if self.kind != kind:
            return False
        self.advance()
        return True

    def line(self, offset: int) -> int:
        return self.text.count("\n", 0, offset) + 1

    def place(self, offset: int) -> tuple[int, int]:
        return self.line(offset), offset - self.text.rfind("\n", 0, offset)

    def refuse(self, reason: str, suggestion: str = "", offset: int | None = None) -> NoReturn:
        line, column = self.place(self.start if offset is None else offset)
        raise JdlError(line, column, reason, suggestion)


def parse(text: str) -> dict[str, Value]:
    """Give the attributes in their order, or raise JdlError; nothing else ever comes of any text."""
    return _description(_Reader(text.removeprefix("\ufeff")))


def place(text: str, is_wanted: Callable[[str], bool]) -> tuple[int, int] | None:
    """Give line and column of the last attribute whose name is wanted, of a text that can be parsed."""
    reader = _Reader(text.removeprefix("\ufeff"))
    _description(reader)
    found = [at for name, at in reader.names if is_wanted(name)]
    return reader.place(found[-1]) if found else None


def _description(reader: _Reader) -> dict[str, Value]:
    opened = reader.start if reader.kind == "[" else None
    if opened is not None:
        reader.advance()
    attributes = _attributes(reader, opened, 1)
    while reader.take(";"):
        pass
    if reader.kind != _END:
        reader.refuse("the description has ended, nothing may follow its closing ]")
    return attributes


def _attributes(reader: _Reader, opened: int | None, depth: int) -> dict[str, Value]:
    """Read attributes up to the ] of the [ at `opened`, or to the end when there was none."""
    attributes: dict[str, Value] = {}
    first: dict[str, int] = {}
    while True:
        while reader.take(";"):
            pass
        if opened is None and reader.kind == _END:
            return attributes
        if opened is not None and reader.take("]"):
            return attributes
        if reader.kind == _END:
            reader.refuse("this [ is never closed", "add the missing ]", opened)
        name, at = _name(reader), reader.start
        # Without regard to case, for description.normalise takes Site and site for the same attribute.
        if name.lower() in first:
            reader.refuse(f"{name} was already given in line {reader.line(first[name.lower()])}", "remove one")
        first[name.lower()] = at
        reader.names.append((name, at))
        reader.advance()
        _equals(reader, name)
        attributes[name] = _value(reader, name, depth)
        _separator(reader, name, opened)


def _name(reader: _Reader) -> str:
    if reader.kind == "word" and _NAME.fullmatch(reader.word):
        return reader.word
    return _refuse_name(reader)


def _refuse_name(reader: _Reader) -> NoReturn:
    if reader.kind == "word" and _NAME.fullmatch(reader.word.rstrip(":")):
        reader.refuse(f"= is missing after {reader.word.rstrip(':')}", "write = and not :")
    if reader.kind in ("]", "}"):
        reader.refuse(f"this {reader.word} closes nothing", "remove it")
    suggestion = "write the name without quotes" if reader.kind == "string" else ""
    reader.refuse(f"an attribute's name should stand here and not {_shown(reader)}", suggestion)


def _equals(reader: _Reader, name: str) -> None:
    if not reader.take("="):
        colon = reader.kind == "word" and reader.word.startswith(":")
        suggestion = "write = and not :" if colon else f"write {name} = value;"
        reader.refuse(f"= is missing after {name}", suggestion, reader.start if colon else reader.last_end)
    if reader.kind == "=":
        reader.refuse("JDL has values but no expressions", "write a single =")


def _separator(reader: _Reader, name: str, opened: int | None) -> None:
    """Pass the ; after a value; the last one before the end may be absent."""
    if reader.take(";") or reader.kind == _END or (opened is not None and reader.kind == "]"):
        return
    if reader.kind in ("word", "string") and _BEFORE_EQUALS.match(reader.text, reader.end):
        reader.refuse(f"; is missing after the value of {name}", "add ;", reader.last_end)
    if reader.kind in ("word", "string", "number"):
        reason = f"{name} has more than one value: {_shown(reader)} follows the first"
        reader.refuse(reason, "put text with spaces in double quotes, or several values in { , }")
    if reader.kind == ",":
        reader.refuse(f"{name} has more than one value", "put several values in { }")
    if reader.kind in ("]", "}"):
        reader.refuse(f"this {reader.word} closes nothing", "remove it")
    reader.refuse(f"; should stand here and not {_shown(reader)}", "add ;", reader.last_end)


def _value(reader: _Reader, name: str, depth: int) -> Value:
    if reader.kind in ("{", "["):
        if depth >= DEEPEST:
            reader.refuse(f"lists and blocks are nested deeper than {DEEPEST}")
        opened, bracket = reader.start, reader.kind
        reader.advance()
        return _list(reader, name, opened, depth + 1) if bracket == "{" else _attributes(reader, opened, depth + 1)
    if reader.kind not in ("string", "number", "word"):
        reader.refuse(f"{name} has no value", 'write "" for an empty one')
    value = _scalar(reader)
    reader.advance()
    return value


def _list(reader: _Reader, name: str, opened: int, depth: int) -> list[Value]:
    values: list[Value] = []
    while not reader.take("}"):
        if reader.kind in (_END, ";", "]", "="):
            reader.refuse("this { is never closed", "add the missing }", opened)
        values.append(_value(reader, name, depth))
        if reader.kind in ("string", "number", "word", "{", "["):
            if _BEFORE_EQUALS.match(reader.text, reader.end):
                reader.refuse("this { is never closed", "add the missing }", opened)
            reader.refuse(f"a comma is missing in the list of {name}", "add ,", reader.last_end)
        reader.take(",")
    return values


def _scalar(reader: _Reader) -> str | int | float | bool:
    word = reader.word
    if reader.kind == "string":
        return _ESCAPE.sub(lambda found: _ESCAPED.get(found.group(1), found.group()), word[1:-1])
    if reader.kind == "number" and not _KEPT_AS_TEXT.fullmatch(word):
        return _number(reader, word)
    if word[0] in _CURLY_QUOTES or word[0] == "'":
        reader.refuse(f"{word[0]} is no quote of JDL", 'write "')
    return word.lower() == "true" if word.lower() in ("true", "false") else word


def _number(reader: _Reader, word: str) -> int | float:
    value: int | float = math.inf
    if len(word) <= _LONGEST_NUMBER:
        value = float(word) if set(word) & set(".eE") else int(word)
    if math.isinf(value) or (isinstance(value, int) and abs(value) > LARGEST):
        reader.refuse("this number is too large", "put it in double quotes if it is a name")
    return value


def _shown(reader: _Reader) -> str:
    limit = 40
    if reader.kind == _END:
        return "the end of the text"
    return reader.word if len(reader.word) <= limit else reader.word[:limit] + "…"


def dump(description: dict[str, Value]) -> str:
    """Give the text of which parse makes an equal dictionary; ValueError for what JDL cannot say."""
    return _block(description, 0) + "\n"


def _block(attributes: dict[str, Value], depth: int) -> str:
    if depth >= DEEPEST:
        _unwritable(f"lists and blocks are nested deeper than {DEEPEST}")
    if len({str(name).lower() for name in attributes}) < len(attributes):
        _unwritable("two attributes differ in upper and lower case only")
    indent = "  " * depth
    lines = [f"{indent}  {_writable(name)} = {_written(value, depth + 1)};\n" for name, value in attributes.items()]
    return "[\n" + "".join(lines) + indent + "]"


def _writable(name: object) -> str:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        _unwritable(f"{name!r:.60} is no name of an attribute")
    return name


def _written(value: object, depth: int) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return '"' + _NEEDS_ESCAPE.sub(lambda found: _TO_ESCAPE[found.group()], value) + '"'
    if (isinstance(value, int) and abs(value) <= LARGEST) or (isinstance(value, float) and math.isfinite(value)):
        return repr(value)
    if isinstance(value, (list, tuple)) and depth < DEEPEST:
        return "{" + ", ".join(_written(entry, depth + 1) for entry in value) + "}"
    if isinstance(value, dict):
        return _block(value, depth)
    return _unwritable(f"JDL has no way to write a {type(value).__name__} like this")


def _unwritable(sentence: str) -> NoReturn:
    raise ValueError(sentence)
