"""What a job may say of itself: DIRAC's attributes with their spellings, bounds and defaults, and the error that refuses."""

from __future__ import annotations

import difflib
import re

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
    "UserPriority": "Priority",
}  # fmt: skip
DROPPED = ("Owner", "OwnerDN", "OwnerName", "OwnerGroup", "VirtualOrganization", "DIRACSetup", "Setup", "JobID")
BLOCK = "JobRequirements"
MOST_INPUT_DATA = 500
PLACEHOLDER = re.compile(r"%s|%n|%\(([A-Za-z0-9_]+)\)s")
SEQUENCE_NAME = re.compile(r"[A-Za-z0-9_]+")

_NAMES = {name.lower(): name for name in (*TEXTS, *NUMBERS, *LISTS, *OTHERS, *DROPPED, BLOCK)}
_NAMES.update({alias.lower(): name for alias, name in ALIASES.items()})
_DOTTED = {name.lower(): name for name in (*SEQUENCES, "Parameter")}
ORDER = {name: place for place, name in enumerate((*TEXTS, *NUMBERS, *LISTS, *OTHERS))}


class DescriptionError(ValueError):
    """The description cannot be a job: one sentence, the attribute that it is about, and the line when that is known."""

    def __init__(self, sentence: str, attribute: str = "", line: int = 0) -> None:
        """Remember the sentence, the attribute and the line."""
        super().__init__(sentence)
        self.attribute = attribute
        self.line = line


def known(written: str) -> str:
    """Give the one name of an attribute, in whatever case or under whatever alias it was written, or raise."""
    head, dot, sequence = written.partition(".")
    if dot and head.lower() in _DOTTED and SEQUENCE_NAME.fullmatch(sequence):
        return f"{_DOTTED[head.lower()]}.{sequence}"
    if written.lower() not in _NAMES:
        close = difflib.get_close_matches(written.lower()[:64], _NAMES, n=1)
        hint = f", did you mean {_NAMES[close[0]]}?" if close else ""
        raise DescriptionError(f"unknown attribute {written[:64]}{hint}", written)
    return _NAMES[written.lower()]


def is_called(written: str, attribute: str) -> bool:
    """Say whether what was written means this attribute, which may be an unknown one."""
    try:
        return written == attribute or known(written) == attribute
    except DescriptionError:
        return False
