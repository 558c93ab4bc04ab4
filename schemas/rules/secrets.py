"""What must be in no log, no event and no sentence: found by its form, or by having been remembered; the pilot carries this."""

from __future__ import annotations

import re
from typing import Any

MARK = "[secret]"
LEAST_LENGTH = 8  # shorter, and the mark would fall on innocent words

_KNOWN: list[str] = []
_BEGIN = re.compile(r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----")
_END = re.compile(r"-----END [A-Z ]{0,40}PRIVATE KEY-----")
_PEM = re.compile(r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----.*?(?:-----END [A-Z ]{0,40}PRIVATE KEY-----|\Z)", re.DOTALL)
# Each begins with a fixed word and goes on over a class that the next one does not share: none can backtrack far.
_FORMS = (
    # only where a word begins: a long row of eyJ would else be read to its end from each of them
    (re.compile(r"(?:(?<![A-Za-z0-9_-])|(?<=%22))eyJ[A-Za-z0-9_-]{4,}\.[A-Za-z0-9_-]{2,}\.[A-Za-z0-9_-]*"), MARK),
    (re.compile(r"pbs1\.[A-Za-z0-9_-]{1,64}\.[A-Za-z0-9_-]{43}"), MARK),
    (re.compile(r"(://[^\s/:@]{1,256}:)[^\s/@]{1,8192}(?=@)"), rf"\1{MARK}"),
    (
        re.compile(
            r"(?i)(authorization['\"]?\s{0,4}[:=]\s{0,4}['\"]?(?:(?:basic|bearer|token)\s{1,4})?)"
            r"(?!(?:basic|bearer|token)\b)[^\s'\",;\[]{4,}"
        ),
        rf"\1{MARK}",
    ),
    (re.compile(r"(?i)\b(bearer\s{1,4})[A-Za-z0-9._~+/=-]{8,}"), rf"\1{MARK}"),
    (re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"), MARK),
    (re.compile(r"(?i)(aws_?secret_?access_?key['\"]?\s{0,4}[:=]\s{0,4}['\"]?)[A-Za-z0-9/+=]{16,}"), rf"\1{MARK}"),
    (re.compile(r"(?i)([?&](?:x-amz-signature|x-amz-security-token|x-amz-credential|signature)=)[^&\s'\"\[]{4,}"), rf"\1{MARK}"),
)
_LIKELY = re.compile(r"(?i)eyJ|pbs1\.|://|authorization|bearer|AKIA|ASIA|aws_?secret|signature=|x-amz-|PRIVATE KEY")


def remember(secret: str) -> None:
    """The value is scrubbed from now on wherever it occurs, if it is long enough to be one."""
    if len(secret) >= LEAST_LENGTH and secret not in _KNOWN:
        _KNOWN.append(secret)


def scrub(text: str) -> str:
    """The text without secrets, each replaced by a mark; a text that has none is the same text."""
    for secret in _KNOWN:
        if secret in text:
            text = text.replace(secret, MARK)
    if not _LIKELY.search(text):
        return text
    text = _PEM.sub(MARK, text)
    for form, mark in _FORMS:
        text = form.sub(mark, text)
    return text


def scrubbed(value: Any) -> Any:
    """The same of everything inside lists and dictionaries."""
    if isinstance(value, str):
        return scrub(value)
    if isinstance(value, dict):
        return {key: scrubbed(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [scrubbed(inner) for inner in value]
    return value


class Scrubber:
    """Lines that come one by one: of a private key in PEM, which takes several, each is marked."""

    def __init__(self) -> None:
        self._inside: dict[Any, bool] = {}

    def line(self, stream: Any, text: str) -> str:
        """The next line of this stream, without secrets."""
        inside = self._inside.get(stream, False)
        begins, ends = _BEGIN.search(text), _END.search(text)
        if inside:
            self._inside[stream] = ends is None
            return MARK
        if begins and not ends:
            self._inside[stream] = True
            return scrub(text[: begins.start()]) + MARK
        return scrub(text)
