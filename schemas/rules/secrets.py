"""What must never be read in a log, a row or a message, and how it is taken out of text.

A rule looks for the shape of a secret: a secret without a shape is known by `remember` alone. Each rule passes once over
the text and gives back nothing that it has read, so that hostile text costs no more than long text.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Mapping
from typing import Any, Callable, Union
from urllib.parse import quote

SECRET = "[secret]"  # noqa: S105 - what stands in the place of one
SHORTEST = 8
MOST_REMEMBERED = 1000
LONGEST_KEY_LINES = 300
_LEAST_HEAD = 16

_QUOTE = r"[\"'\\]{0,4}"
_IS = rf"{_QUOTE}[ \t]{{0,4}}[:=>][ \t]{{0,4}}{_QUOTE}"
_BEGIN = r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY[A-Z ]{0,10}-----"
_END = r"-----END [A-Z0-9 ]{0,40}PRIVATE KEY[A-Z ]{0,10}-----"
_TOKEN = r"[A-Za-z0-9._~+/=-]"  # noqa: S105 - RFC 9110's token68, and what a JWT is made of

_Made = Union[str, Callable[["re.Match[str]"], str]]


def _jwt(found: re.Match[str]) -> str:
    # the whole run is matched in any case: a run that is no token must not be read again from its middle
    cut = found["rest"] and len(found["head"]) >= _LEAST_HEAD  # somebody has kept the beginning of a sentence
    return SECRET if found["more"] is not None or cut else found[0]


# letters that a text with the secret must have, small; the secret's shape; what to write for it
_RULES: tuple[tuple[tuple[str, ...], re.Pattern[str], _Made], ...] = (
    (("private key",), re.compile(rf"{_BEGIN}.*?(?:{_END}|\Z)", re.DOTALL), SECRET),
    (("pbs1.",), re.compile(r"pbs1\.[A-Za-z0-9_-]{1,64}\.[A-Za-z0-9_-]{20,43}"), SECRET),
    (
        ("eyj",),
        re.compile(r"eyJ(?P<head>[A-Za-z0-9_-]*)(?P<rest>\.[A-Za-z0-9_-]+(?P<more>\.[A-Za-z0-9_-]*(?:\.[A-Za-z0-9_-]+){0,2})?)?"),
        _jwt,
    ),
    (("://",), re.compile(r"(://[^\s/:@\"'<>]*:)[^\s/\"'<>]+@"), rf"\g<1>{SECRET}@"),
    (
        ("akia", "asia"),
        re.compile(
            r"(?<![A-Za-z0-9])(?:AKIA|ASIA)[A-Z0-9]{16}(?![A-Za-z0-9])(?:([\s:,;|\"'\\]{1,8})[A-Za-z0-9/+]{40}(?![A-Za-z0-9/+]))?"
        ),
        lambda found: SECRET + (found[1] + SECRET if found[1] else ""),
    ),
    (
        ("access", "session"),
        re.compile(
            rf"((?:secret_?access_?key|(?:aws|session)_?(?:session_?|security_?)?token){_IS})[A-Za-z0-9/+=]{{16,}}",
            re.IGNORECASE | re.ASCII,
        ),
        rf"\g<1>{SECRET}",
    ),
    (
        ("x-amz-s",),
        re.compile(rf"(x-amz-(?:signature|security-token)(?:{_IS}|%3D))[^\s&\"'<>\\#,]+", re.IGNORECASE | re.ASCII),
        rf"\g<1>{SECRET}",
    ),
    (
        ("signature",),
        re.compile(r"((?:[?&;]|,[ \t]?|%26|%3F)signature(?:=|%3D))[^\s&\"'<>\\#,]{8,}", re.IGNORECASE | re.ASCII),
        rf"\g<1>{SECRET}",
    ),
    (
        ("bearer", "basic"),  # plain English, unless what follows looks drawn and not written
        re.compile(
            rf"(\b(?i:bearer|basic)[ \t]{{1,4}})(?:(?={_TOKEN}*(?:[0-9=]|[a-z][A-Z])){_TOKEN}{{8,}}|{_TOKEN}{{24,}})",
            re.ASCII,
        ),
        rf"\g<1>{SECRET}",
    ),
    (
        ("authorization",),  # a scheme, its word, and what follows with commas
        re.compile(
            rf"(authorization{_IS})(?:digest [^\r\n]*|(?:[a-z][a-z0-9-]{{0,40}}[ \t]{{1,4}})?"
            r"[^\s\"'\\,]+(?:,[ \t]{0,4}[^\s\"'\\,]+)*)",
            re.IGNORECASE | re.ASCII,
        ),
        rf"\g<1>{SECRET}",
    ),
)

_SIGNS = tuple(sign for signs, _, _ in _RULES for sign in signs)
_OPENS, _CLOSES = re.compile(_BEGIN), re.compile(_END)
_IN_A_KEY = re.compile(r"[A-Za-z0-9+/=]{16}|(?:^|\s)[A-Za-z0-9+/]*={1,2}$|^\S{0,80}$|^(?:Proc-Type|DEK-Info|Comment|Version): ")

_lock = threading.Lock()
_remembered: dict[str, None] = {}
_known: tuple[str, ...] = ()


def remember(secret: str) -> None:
    """From now on `scrub` knows this value in this process, also as it stands in a URL, in JSON or in a repr.

    One that is shorter than SHORTEST is not taken: it would be found in innocent words. The oldest of MOST_REMEMBERED go.
    """
    global _known
    secret = secret.strip()
    if len(secret) < SHORTEST or secret in SECRET:
        return
    with _lock:
        for form in (secret, quote(secret, safe=""), json.dumps(secret)[1:-1], repr(secret)[1:-1]):
            _remembered.pop(form, None)
            _remembered[form] = None
        while len(_remembered) > MOST_REMEMBERED:
            del _remembered[next(iter(_remembered))]
        _known = tuple(sorted(_remembered, key=len, reverse=True))  # one may be a part of another


def scrub(text: str) -> str:
    """The text with `[secret]` for each secret in it; the same text when there is none, and when it was scrubbed before."""
    for _ in range(4):  # what is taken out may have hidden the edge of another
        clean = _pass(text)
        if clean == text:
            break
        text = clean
    return text


def innocent(text: str) -> bool:
    """Whether there is surely no secret in any line of this text; quick, for many lines at once."""
    small = text.lower()
    for sign in _SIGNS:  # spelt out: a generator costs more than all it looks for
        if sign in small:
            return False
    return all(secret not in text for secret in _known)


def _pass(text: str) -> str:
    if innocent(text):
        return text
    small = text.lower()
    for signs, pattern, made in _RULES:
        if any(sign in small for sign in signs):
            text = pattern.sub(made, text)
    for secret in _known:
        if secret in text:
            text = text.replace(secret, SECRET)
    return text


def scrubbed(value: Any) -> Any:
    """A value for JSON with each string in it scrubbed; what JSON does not know is told by its repr, as loggers do."""
    if isinstance(value, str):
        return scrub(value)
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, Mapping):
        return {scrub(str(name)): scrubbed(inner) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        lines = Scrubber()  # a list of strings may be a text that was split
        return [lines.line(inner) if isinstance(inner, str) else scrubbed(inner) for inner in value]
    return scrub(repr(value))


class Scrubber:
    """Scrubs one stream line by line; a private key whose lines come one after another is taken out as a whole.

    Each line of a key becomes one `[secret]`, so that lines keep their numbers. A key that never ends is over at the first
    line that can not be of one, and after LONGEST_KEY_LINES in any case.
    """

    def __init__(self) -> None:
        self._left = 0

    def line(self, text: str) -> str:
        """The next line of the stream, scrubbed."""
        if not self._left:
            return self._outside(text)
        end = _CLOSES.search(text)
        if end is not None:
            self._left = 0
            return SECRET + self._outside(text[end.end() :])
        if not _IN_A_KEY.search(text.strip()):
            self._left = 0
            return self._outside(text)
        self._left -= 1
        return SECRET if text.strip() else text

    def lines(self, texts: list[str]) -> list[str]:
        """The next lines of the stream, scrubbed."""
        if not self._left and innocent("\n".join(texts)):
            return texts
        return [self.line(text) for text in texts]

    def _outside(self, text: str) -> str:
        begins = [found.end() for found in _OPENS.finditer(text)] if "PRIVATE KEY" in text else []
        if begins and _CLOSES.search(text, begins[-1]) is None:
            self._left = LONGEST_KEY_LINES
        return scrub(text)
