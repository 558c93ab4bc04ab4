"""What an attribute's value may be: each kind of value in its one form, or one sentence why not."""

from __future__ import annotations

import math
import re
from typing import Callable, NoReturn

from schemas.rules import jdl
from schemas.rules.attributes import (
    ANY_LENGTH,
    LISTS,
    MOST_INPUT_DATA,
    NUMBERS,
    PLACEHOLDER,
    SEQUENCES,
    TEXTS,
    DescriptionError,
)

_WITH_ANY = ("Site", "GridCE", "Platform")
_STORED_ELSEWHERE = re.compile(r"(?i:lfn|lf|sb):|[a-z]+://")
_NOT_STORED = re.compile("[\0\ud800-\udfff]")
_PRINTABLE = re.compile(r"[^\x00-\x1f\x7f]+")
_TRUE, _FALSE = ("true", "yes", "y", "1"), ("false", "no", "n", "0", "")


def renewed(name: str, value: jdl.Value, *, template: bool = False) -> jdl.Value:
    """Give one attribute's value in its one form, or raise DescriptionError."""
    if template and (name in NUMBERS or name == "WholeNode") and isinstance(value, str) and PLACEHOLDER.search(value):
        return value
    return _CHECKS[name.partition(".")[0]](name, value)


def _number(name: str, value: object) -> int:
    lowest, highest = NUMBERS[name]
    if isinstance(value, str) and re.fullmatch(r"\s*[-+]?[0-9]{1,18}\s*", value):
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        refuse(name, f"must be a whole number and not {shown(value)}")
    if not lowest <= value <= highest:
        refuse(name, f"must be {lowest} to {highest} and not {shown(value)}")
    return value


def _flag(name: str, value: object) -> bool:
    word = value.strip().lower() if isinstance(value, str) else None
    if isinstance(value, int) and value in (0, 1):
        word = "01"[value]
    if word not in _TRUE + _FALSE:
        refuse(name, f"must be true or false and not {shown(value)}")
    return word in _TRUE


def _text(name: str, value: object) -> str:
    if isinstance(value, bool):
        value = "true" if value else "false"
    if (isinstance(value, int) and abs(value) <= jdl.LARGEST) or (isinstance(value, float) and math.isfinite(value)):
        value = str(value)
    if not isinstance(value, str):
        refuse(name, f"must be text and not {shown(value)}")
    longest = TEXTS.get(name, ANY_LENGTH)
    if len(value) > longest:
        refuse(name, f"must have at most {longest} characters, it has {len(value)}")
    if _NOT_STORED.search(value):
        refuse(name, "holds a character that cannot be stored")
    return value


def _list(name: str, value: jdl.Value) -> list[str]:
    if isinstance(value, dict) and name == "ExecutionEnvironment":
        value = [f"{_text(name, key)}={_text(name, entry)}" for key, entry in value.items()]
    if isinstance(value, str):
        value = [value] if name == "ExecutionEnvironment" else value.split(",")
    entries = [_text(name, entry).strip() for entry in (value if isinstance(value, (list, tuple)) else [value])]
    entries = list(dict.fromkeys(entry for entry in entries if entry))
    if name in _WITH_ANY:
        entries = [entry for entry in entries if entry.lower() != "any"]
    if name == "OutputData":
        return [_upload(name, entry) for entry in entries]
    if name == "InputData" and len(entries) > MOST_INPUT_DATA:
        refuse(name, f"names {len(entries)} files, the most is {MOST_INPUT_DATA}")
    return [_relative(name, entry) for entry in entries] if name == "OutputSandbox" else entries


def _upload(name: str, entry: str) -> str:
    """Give back what DIRAC's OutputData may say: a file that the job writes, also by a pattern, or where it is to be."""
    if not entry.lower().startswith("lfn:"):
        return _relative(name, entry)
    return _downward(name, entry)


def _path(name: str, value: object) -> str:
    """Give back OutputPath: below the owner's directory, or absolute as LFN:/…; DIRAC writes it as a list, too."""
    return _downward(name, _lone(name, value))


def _downward(name: str, text: str) -> str:
    if ".." in text.split("/") or (text and not _PRINTABLE.fullmatch(text)):
        refuse(name, f"must be a plain path without .. and not {shown(text)}")
    return text


def _lone(name: str, value: object) -> str:
    """Give the text of what may also be written as a list of one."""
    return _text(name, value[0] if isinstance(value, (list, tuple)) and len(value) == 1 else value)


def _regex(name: str, value: object) -> str:
    text = _text(name, value)
    try:
        re.compile(text)
    except (re.error, RecursionError, OverflowError) as error:
        refuse(name, f"is no regular expression: {error}")
    return text


def _relative(name: str, entry: str) -> str:
    """Give the file name back, which stays inside the job's own directory wherever that is."""
    parts = entry.split("/")
    if _STORED_ELSEWHERE.match(entry):
        refuse(name, f"names files that the job writes and not {shown(entry)}; OutputData is for stored data")
    if entry.startswith(("/", "~")) or ".." in parts or entry == "." or not _PRINTABLE.fullmatch(entry):
        refuse(name, f"must be a plain relative file name without .. and not {shown(entry)}")
    return entry


def _parameters(name: str, value: object) -> jdl.Value:
    if isinstance(value, (list, tuple)) and value:
        return [_parameter(name, entry) for entry in value]
    if name != "Parameters" or isinstance(value, (list, tuple)):
        refuse(name, "must be a list with at least one value")
    count = int(value) if isinstance(value, str) and re.fullmatch(r"[0-9]{1,18}", value) else value
    if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= jdl.LARGEST:
        refuse(name, f"must be a number of jobs, at least 1, or a list of values, and not {shown(value)}")
    return count


def _file(name: str, value: object) -> str:
    text = _text(name, value)
    return _relative(name, text) if text else text


def _parameter(name: str, value: object) -> jdl.Value:
    if isinstance(value, (list, tuple)):
        return [_text(name, entry) for entry in value]
    text = _text(name, value)
    return value if isinstance(value, (int, float)) else text


def _step(name: str, value: object) -> int | float:
    if isinstance(value, str) and len(value) <= len(str(jdl.LARGEST)):
        try:
            value = float(value) if set(value) & set(".eE") else int(value)
        except ValueError:
            refuse(name, f"must be a number and not {shown(value)}")
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        refuse(name, f"must be a number and not {shown(value)}")
    _text(name, value)  # refuses what is not finite
    return value


def shown(value: object) -> str:
    """Give a value as a short sentence can hold it."""
    if isinstance(value, (list, tuple)):
        return f"a list of {len(value)}"
    if isinstance(value, dict):
        return "a block of attributes"
    if isinstance(value, int) and abs(value) > jdl.LARGEST:
        return "a number beyond 2**63"
    return f"{value!r:.60}"


def refuse(attribute: str, reason: str) -> NoReturn:
    """Raise DescriptionError about the attribute."""
    raise DescriptionError(f"{attribute} {reason}", attribute)


_CHECKS: dict[str, Callable[[str, jdl.Value], jdl.Value]] = {
    **dict.fromkeys(TEXTS, _text), **dict.fromkeys(NUMBERS, _number), **dict.fromkeys(LISTS, _list),
    **dict.fromkeys(SEQUENCES, _step), "Parameters": _parameters, "Parameter": _parameter, "WholeNode": _flag,
    "StdOutput": _file, "StdError": _file, "OutputPath": _path,
    "StopSigRegex": _regex, "InputDataPolicy": _lone, "InputDataModule": _lone,
}  # fmt: skip
