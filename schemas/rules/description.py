"""One job description, the same from JDL, YAML and JSON: DIRAC's attribute names, defaults and bounds."""

from __future__ import annotations

import difflib
import json
import math
import re
from typing import Callable, NoReturn

from schemas.rules import jdl

NUMBERS = {
    "CPUTime": (100, 500_000),
    "Priority": (0, 10),
    "NumberOfProcessors": (1, 1024),
    "MinNumberOfProcessors": (1, 1024),
    "MaxNumberOfProcessors": (1, 1024),
    "NumberOfGPUs": (0, 1024),
    "MinRAM": (0, 2**31 - 1),
    "MaxRAM": (0, 2**31 - 1),
    "MinDisk": (0, 2**31 - 1),
    "StopSigNumber": (1, 64),
    "StopSigStartWork": (0, 2**31 - 1),
    "StopSigFinishWork": (0, 2**31 - 1),
    "ParameterNumber": (0, 2**31 - 1),
}
ANY_LENGTH = 65_536
TEXTS = {
    "JobName": 128, "JobGroup": 32, "JobType": 32, "Executable": ANY_LENGTH, "Arguments": ANY_LENGTH,
    "StdOutput": ANY_LENGTH, "StdError": ANY_LENGTH, "InputDataPolicy": ANY_LENGTH, "InputDataModule": ANY_LENGTH,
    "OutputPath": ANY_LENGTH, "LogLevel": ANY_LENGTH, "JobConfigArgs": ANY_LENGTH, "SoftwareDistModule": ANY_LENGTH,
    "StopSigRegex": ANY_LENGTH,
}  # fmt: skip
LISTS = (
    "InputSandbox", "OutputSandbox", "InputData", "OutputData", "OutputSE", "Site", "BannedSites", "GridCE",
    "Platform", "Tags", "JobPath", "ExecutionEnvironment",
)  # fmt: skip
SEQUENCES = ("Parameters", "ParameterStart", "ParameterStep", "ParameterFactor")
OTHERS = ("WholeNode", "Parameter", *SEQUENCES)
DEFAULTS = {
    "JobName": "Unknown", "JobGroup": "NoGroup", "JobType": "User", "StdOutput": "std.out", "StdError": "std.err",
    "CPUTime": 86_400, "Priority": 1,
}  # fmt: skip
ALIASES = {
    "Sites": "Site", "Destination": "Site", "Destinations": "Site", "BannedSite": "BannedSites", "Tag": "Tags",
    "GridCEs": "GridCE", "DestinationCE": "GridCE", "Platforms": "Platform", "SystemConfig": "Platform",
    "JobTypes": "JobType", "StdOut": "StdOutput", "StdErr": "StdError", "MaxCPUTime": "CPUTime",
}  # fmt: skip
DROPPED = ("Owner", "OwnerDN", "OwnerGroup", "VirtualOrganization", "DIRACSetup", "JobID")
MOST_INPUT_DATA = 500
PLACEHOLDER = re.compile(r"%s|%n|%\(([A-Za-z0-9_]+)\)s")

_BLOCK = "JobRequirements"
_NAMES = {name.lower(): name for name in (*TEXTS, *NUMBERS, *LISTS, *OTHERS, *DROPPED, _BLOCK)}
_NAMES.update({alias.lower(): name for alias, name in ALIASES.items()})
_DOTTED = {name.lower(): name for name in (*SEQUENCES, "Parameter")}
_ORDER = {name: place for place, name in enumerate((*TEXTS, *NUMBERS, *LISTS, *OTHERS))}
_WITH_ANY = ("Site", "GridCE", "Platform")
_NARROWING = ("Tags", "BannedSites")
_STORED_ELSEWHERE = re.compile(r"(?i:lfn|lf|sb):|[a-z]+://")
_NOT_STORED = re.compile("[\0\ud800-\udfff]")
_PRINTABLE = re.compile(r"[^\x00-\x1f\x7f]+")
_TRUE, _FALSE = ("true", "yes", "y", "1"), ("false", "no", "n", "0", "")


class DescriptionError(ValueError):
    """The description cannot be a job: one sentence that names the attribute."""


def load(text: str, kind: str = "jdl") -> dict[str, jdl.Value]:
    """Give the normalised description that a text of this kind holds, or raise JdlError or DescriptionError."""
    if kind == "jdl":
        return normalise(jdl.parse(text))
    if kind != "json":
        message = f"no kind of text is called {kind}, only jdl and json"
        raise ValueError(message)
    try:
        raw = json.loads(text, object_pairs_hook=_once)
    except DescriptionError:
        raise
    except (ValueError, RecursionError) as error:
        _refuse(f"the text is not JSON: {error}")
    return normalise(raw)


def normalise(raw: dict[str, jdl.Value]) -> dict[str, jdl.Value]:
    """Give the description in DIRAC's names with defaults filled in; of a normalised one, an equal one.

    Owner, OwnerGroup and VirtualOrganization are dropped because the server derives them from who is logged in.
    In a parametric description a number may still be a placeholder; parametric.expand looks at it again.
    """
    given = _gathered(raw)
    parametric = "Parameters" in given
    job = dict(DEFAULTS)
    for name in sorted(given, key=lambda name: (_ORDER.get(name, len(_ORDER)), name)):
        values = [renewed(name, value, parametric=parametric) for value in given[name]]
        values = [value for value in values if value not in ("", [])]
        if values:
            job[name] = _combined(name, values)
    if "StopSigRegex" in job:
        job.setdefault("StopSigNumber", 2)
    refuse_contradictions(job)
    return job


def renewed(name: str, value: jdl.Value, *, parametric: bool = False) -> jdl.Value:
    """Give one attribute's value in its one form, or raise DescriptionError."""
    if parametric and (name in NUMBERS or name == "WholeNode") and isinstance(value, str) and PLACEHOLDER.search(value):
        return value
    return _CHECKS[name.partition(".")[0]](name, value)


def refuse_contradictions(job: dict[str, jdl.Value]) -> None:
    """Raise DescriptionError when no resource could ever be right for the job, or it runs nothing."""
    if not str(job.get("Executable", "")).strip():
        _refuse("Executable is missing")
    sites, banned = job.get("Site", []), job.get("BannedSites", [])
    if sites and set(sites) <= set(banned):
        _refuse(f"BannedSites bans every Site the job asks for: {', '.join(sites)}")
    for low, high in (
        ("MinNumberOfProcessors", "MaxNumberOfProcessors"),
        ("MinNumberOfProcessors", "NumberOfProcessors"),
        ("NumberOfProcessors", "MaxNumberOfProcessors"),
        ("MinRAM", "MaxRAM"),
    ):
        least, most = job.get(low), job.get(high)
        # DIRAC writes MaxRAM = 0 for "no limit".
        if isinstance(least, int) and isinstance(most, int) and least > most and (high, most) != ("MaxRAM", 0):
            _refuse(f"{low} is {least}, more than {high}, which is {most}")


def _once(pairs: list[tuple[str, jdl.Value]]) -> dict[str, jdl.Value]:
    whole: dict[str, jdl.Value] = {}
    for name, value in pairs:
        if name in whole:
            _refuse(f"{name} is given twice")
        whole[name] = value
    return whole


def _gathered(raw: object) -> dict[str, list[jdl.Value]]:
    """Bring every attribute, of the top and of JobRequirements, under its one name."""
    if not isinstance(raw, dict):
        _refuse(f"a job description has attributes with values, it is not {_shown(raw)}")
    given: dict[str, list[jdl.Value]] = {}
    pairs = list(raw.items())
    for written, value in pairs:
        name = _known(written)
        if value is None or name in DROPPED:
            continue
        if name != _BLOCK:
            given.setdefault(name, []).append(value)
        elif isinstance(value, dict) and not any(str(inner).lower() == _BLOCK.lower() for inner in value):
            pairs.extend(value.items())
        else:
            _refuse(f"{_BLOCK} must be a block of attributes")
    return given


def _known(written: object) -> str:
    """Give the one name of an attribute, in whatever case or under whatever alias it was written."""
    if not isinstance(written, str):
        _refuse(f"an attribute's name must be text and not {_shown(written)}")
    head, dot, sequence = written.partition(".")
    if dot and head.lower() in _DOTTED and re.fullmatch(r"[A-Za-z0-9_]+", sequence):
        return f"{_DOTTED[head.lower()]}.{sequence}"
    if written.lower() not in _NAMES:
        close = difflib.get_close_matches(written.lower()[:64], _NAMES, n=1)
        hint = f", did you mean {_NAMES[close[0]]}?" if close else ""
        _refuse(f"unknown attribute {written[:64]}{hint}")
    return _NAMES[written.lower()]


def _combined(name: str, values: list[jdl.Value]) -> jdl.Value:
    """Give the one value of an attribute that was written under several names."""
    first = values[0]
    for other in values[1:]:
        if name in _NARROWING:
            first = list(dict.fromkeys(first + other))
        elif other != first:
            _refuse(f"{name} is given twice, as {_shown(first)} and as {_shown(other)}")
    return first


def _number(name: str, value: object) -> int:
    lowest, highest = NUMBERS[name]
    if isinstance(value, str) and re.fullmatch(r"\s*[-+]?[0-9]{1,18}\s*", value):
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        _refuse(f"{name} must be a whole number and not {_shown(value)}")
    if not lowest <= value <= highest:
        _refuse(f"{name} must be {lowest} to {highest} and not {_shown(value)}")
    return value


def _flag(name: str, value: object) -> bool:
    word = value.strip().lower() if isinstance(value, str) else None
    if isinstance(value, int) and value in (0, 1):
        word = "01"[value]
    if word not in _TRUE + _FALSE:
        _refuse(f"{name} must be true or false and not {_shown(value)}")
    return word in _TRUE


def _text(name: str, value: object) -> str:
    if isinstance(value, bool):
        value = "true" if value else "false"
    if (isinstance(value, int) and abs(value) <= jdl.LARGEST) or (isinstance(value, float) and math.isfinite(value)):
        value = str(value)
    if not isinstance(value, str):
        _refuse(f"{name} must be text and not {_shown(value)}")
    longest = TEXTS.get(name, ANY_LENGTH)
    if len(value) > longest:
        _refuse(f"{name} must have at most {longest} characters, it has {len(value)}")
    if _NOT_STORED.search(value):
        _refuse(f"{name} holds a character that cannot be stored")
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
    if name == "InputData" and len(entries) > MOST_INPUT_DATA:
        _refuse(f"InputData names {len(entries)} files, the most is {MOST_INPUT_DATA}")
    return [_relative(name, entry) for entry in entries] if name == "OutputSandbox" else entries


def _relative(name: str, entry: str) -> str:
    """Give the file name back, which stays inside the job's own directory wherever that is."""
    parts = entry.split("/")
    if _STORED_ELSEWHERE.match(entry):
        _refuse(f"{name} names files that the job writes and not {_shown(entry)}; OutputData is for stored data")
    if entry.startswith(("/", "~")) or ".." in parts or entry == "." or not _PRINTABLE.fullmatch(entry):
        _refuse(f"{name} must be a plain relative file name without .. and not {_shown(entry)}")
    return entry


def _parameters(name: str, value: object) -> jdl.Value:
    if isinstance(value, (list, tuple)) and value:
        return [_parameter(name, entry) for entry in value]
    if name != "Parameters" or isinstance(value, (list, tuple)):
        _refuse(f"{name} must be a list with at least one value")
    count = int(value) if isinstance(value, str) and re.fullmatch(r"[0-9]{1,18}", value) else value
    if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= jdl.LARGEST:
        _refuse(f"{name} must be a number of jobs, at least 1, or a list of values, and not {_shown(value)}")
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
            _refuse(f"{name} must be a number and not {_shown(value)}")
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        _refuse(f"{name} must be a number and not {_shown(value)}")
    _text(name, value)  # refuses what is not finite
    return value


def _shown(value: object) -> str:
    if isinstance(value, (list, tuple)):
        return f"a list of {len(value)}"
    if isinstance(value, dict):
        return "a block of attributes"
    if isinstance(value, int) and abs(value) > jdl.LARGEST:
        return "a number beyond 2**63"
    return f"{value!r:.60}"


def _refuse(sentence: str) -> NoReturn:
    raise DescriptionError(sentence)


_CHECKS: dict[str, Callable[[str, jdl.Value], jdl.Value]] = {
    **dict.fromkeys(TEXTS, _text), **dict.fromkeys(NUMBERS, _number), **dict.fromkeys(LISTS, _list),
    **dict.fromkeys(SEQUENCES, _step), "Parameters": _parameters, "Parameter": _parameter, "WholeNode": _flag,
    "StdOutput": _file, "StdError": _file,
}  # fmt: skip
