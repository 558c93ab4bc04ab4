"""The names of people: which accounts nobody may have, and one spelling for each X.509 subject."""

from __future__ import annotations

import re
from typing import Optional

from schemas.rules.identity import pilot_of

RESERVED = frozenset({"pilotbus", "guest"})
LONGEST = 2000

# The names that Python's cryptography prints; every other attribute has its number.
_PRINTED = ("CN", "L", "ST", "O", "OU", "C", "STREET", "DC", "UID")
_NUMBERS = {
    "EMAILADDRESS": "1.2.840.113549.1.9.1", "EMAIL": "1.2.840.113549.1.9.1", "E": "1.2.840.113549.1.9.1",
    "SERIALNUMBER": "2.5.4.5", "SN": "2.5.4.4", "SURNAME": "2.5.4.4", "GN": "2.5.4.42", "GIVENNAME": "2.5.4.42",
    "TITLE": "2.5.4.12", "DNQUALIFIER": "2.5.4.46", "PSEUDONYM": "2.5.4.65",
    "2.5.4.3": "CN", "2.5.4.7": "L", "2.5.4.8": "ST", "2.5.4.10": "O", "2.5.4.11": "OU", "2.5.4.6": "C", "2.5.4.9": "STREET",
    "0.9.2342.19200300.100.1.25": "DC", "0.9.2342.19200300.100.1.1": "UID", "USERID": "UID", "S": "ST",
}  # fmt: skip
_KIND = r"(?:[A-Za-z][A-Za-z0-9-]*|[0-9]+(?:\.[0-9]+)+)"
_SLASH = re.compile(rf"/(?={_KIND}=)")
_HEAD = re.compile(rf" *({_KIND}) *= *")
_HEX = re.compile(r"(?:\\[0-9A-Fa-f]{2})+")
_OPENSSL_HEX = re.compile(r"(?:\\x[0-9A-Fa-f]{2})+")


def refused_account(account: str) -> Optional[str]:
    """Give the reason why no person may have this account, None when one may."""
    if pilot_of(account) is not None:
        return f"account {account} would be a pilot's: no person's may begin with pilot-"
    return f"account {account} belongs to the system" if account in RESERVED else None


def subject(text: str) -> str:
    """Give an X.509 subject as RFC 4514 writes it and Python's cryptography prints it: CN=Ada,OU=Users,DC=cern,DC=ch.

    Takes that form, and OpenSSL's /DC=ch/DC=cern/OU=Users/CN=Ada, whose order is the other way round; two spellings of one
    subject give one text, and texts differ when subjects differ in a letter, be it large or small. A slash inside a
    value of OpenSSL's form stays, unless it looks like the next attribute: then write RFC 4514.
    Raises ValueError with the reason when it is neither.
    """
    try:
        found = _slash_form(text) if text.startswith("/") else _rfc4514(text)
    except UnicodeDecodeError as problem:
        raise ValueError(f"{_shown(text)} holds an escape that is not UTF-8") from problem
    if len(found) > LONGEST:
        raise ValueError(f"{_shown(text)} is longer than {LONGEST} characters")
    return found


def _slash_form(text: str) -> str:
    first, *parts = _SLASH.split(text)
    if first or not parts:
        raise ValueError(f"{_shown(text)} is no subject: after a slash wants an attribute, such as /CN=Ada")
    printed = []
    for part in parts:
        kind, _, value = part.partition("=")
        printed.append(_printed(kind, _OPENSSL_HEX.sub(lambda f: bytes.fromhex(f[0].replace("\\x", "")).decode(), value), text))
    return ",".join(reversed(printed))


def _rfc4514(text: str) -> str:
    found, rest = "", text
    while True:
        head = _HEAD.match(rest)
        if head is None:
            raise ValueError(f"{_shown(text)} is no subject: wants attributes such as CN=Ada,O=CERN, or /O=CERN/CN=Ada")
        value, end = _value(rest[head.end() :], text)
        found += _printed(head[1], value, text)
        rest = rest[head.end() + end :]
        if not rest:
            return found
        found, rest = found + ("+" if rest[0] == "+" else ","), rest[1:]


def _value(rest: str, text: str) -> tuple[str, int]:
    """The value that the text begins with, without its escapes, and where it ends: at a separator or at the end."""
    value, at, kept = "", 0, 0
    while at < len(rest) and rest[at] not in ",+;":
        if rest[at] == "\\":
            if found := _HEX.match(rest, at):
                value, at = value + bytes.fromhex(found[0].replace("\\", "")).decode(), found.end()
            elif at + 1 < len(rest):
                value, at = value + rest[at + 1], at + 2
            else:
                raise ValueError(f"{_shown(text)} ends in the middle of an escape")
            kept = len(value)
        elif rest[at] in '"<>' or (rest[at] == "#" and not value):
            raise ValueError(f"{_shown(text)} has {rest[at]} where RFC 4514 wants it escaped")
        else:
            value, at = value + rest[at], at + 1
    return value[:kept] + value[kept:].rstrip(" "), at


def _printed(kind: str, value: str, text: str) -> str:
    name = _NUMBERS.get(kind.upper(), kind.upper())
    if name not in _PRINTED and "." not in name:
        raise ValueError(f"{_shown(text)} has an attribute {kind} that is not known; write its number, such as 2.5.4.5")
    if not value:
        raise ValueError(f"{_shown(text)} has an empty {kind}")
    if not all(letter.isprintable() for letter in value):
        raise ValueError(f"{_shown(text)} holds a character that cannot be printed")
    escaped = re.sub(r'([\\"+,;<>])', r"\\\1", value)
    if escaped[0] in "# ":
        escaped = "\\" + escaped
    if escaped[-1] == " " and len(value) > 1:
        escaped = escaped[:-1] + "\\ "
    return f"{name}={escaped}"


def _shown(text: str) -> str:
    return f"{text!r:.120}"
