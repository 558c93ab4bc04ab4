"""Where brokers are and who logs in, read from their URLs."""

from __future__ import annotations

import re
import ssl
from dataclasses import dataclass, field
from urllib.parse import SplitResult, unquote, urlsplit

PORTS = {"amqps": 5671, "stomps": 61614}
_BETWEEN = re.compile(r"[\s,]+(?=[A-Za-z0-9+]+://)")


class NotRenewed(Exception):
    """The token has ended, and whoever gives new ones does not answer now."""


@dataclass(frozen=True)
class Broker:
    """One address at which a broker listens, and in which words."""

    scheme: str
    host: str
    port: int
    vhost: str

    def __str__(self) -> str:
        return f"{self.scheme}://{self.host}:{self.port}"


@dataclass(frozen=True)
class Login:
    """One account at one or more addresses, the first being liked best; the password is never printed."""

    brokers: tuple[Broker, ...]
    user: str
    password: str = field(repr=False)
    ca_file: str = ""

    def tls(self) -> ssl.SSLContext:
        """A context that trusts the given authority only, or the system's when none is given."""
        context = ssl.create_default_context(cafile=self.ca_file or None)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        return context


def each(urls: str) -> list[str]:
    """The URLs in a text, which commas or blanks separate."""
    return [url for url in _BETWEEN.split(urls.strip().strip(",")) if url]


def login(urls: str, *, ca_file: str = "", password: str = "", enrols: bool = False) -> Login:
    """The login of these URLs; one that enrols gets its user and its password at the door.

    Raises ValueError with a sentence that never holds the password.
    """
    found = [_parts(url, enrols=enrols) for url in each(urls)]
    users = {unquote(parts.username or "") for parts, _ in found}
    if len(users) != 1:
        raise ValueError("the broker's URLs name several users, and a pilot is one")
    secret = next((unquote(parts.password) for parts, _ in found if parts.password), "") or password
    if not secret and not enrols:
        raise ValueError("there is no enrolment secret: set PILOTBUS_PILOT_SECRET or --secret-file, and PILOTBUS_DOOR_URL")
    return Login(tuple(broker for _, broker in found), users.pop(), secret, ca_file)


def _parts(url: str, *, enrols: bool) -> tuple[SplitResult, Broker]:
    wanted = "amqps://user@host:port/vhost or stomps://user@host:port/vhost"
    try:
        parts = urlsplit(url)
        port = parts.port or PORTS.get(parts.scheme, 0)
    except ValueError as problem:
        raise ValueError(f"the broker's URL is not well formed; it wants {wanted}") from problem
    if parts.scheme not in PORTS:
        has = parts.scheme or "no scheme"
        raise ValueError(f"the broker's URL wants amqps:// or stomps://, has {has}://; a pilot speaks over TLS only")
    if not parts.hostname or not (parts.username or enrols):
        raise ValueError(f"the broker's URL wants a user and a host: {wanted}")
    return parts, Broker(parts.scheme, parts.hostname, port, unquote(parts.path[1:]) or "/")
