"""Where the broker is and who logs in, read from one URL."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit


@dataclass(frozen=True)
class Login:
    """One broker, one account; the password is never printed."""

    host: str
    port: int
    vhost: str
    user: str
    password: str = field(repr=False)
    ca_file: str = ""

    def tls(self) -> ssl.SSLContext:
        """A context that trusts the given authority only, or the system's when none is given."""
        context = ssl.create_default_context(cafile=self.ca_file or None)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        return context


def login(url: str, *, ca_file: str = "", password: str = "", enrols: bool = False) -> Login:
    """The login of this URL; one that enrols gets its user and its password at the door.

    Raises ValueError with a sentence that never holds the password.
    """
    try:
        parts = urlsplit(url)
        port = parts.port or 5671
    except ValueError as problem:
        raise ValueError("the broker's URL is not well formed; it wants amqps://user@host:port/vhost") from problem
    if parts.scheme != "amqps":
        raise ValueError(f"the broker's URL wants amqps://, has {parts.scheme or 'no scheme'}://; a pilot speaks over TLS only")
    if not parts.hostname or not (parts.username or enrols):
        raise ValueError("the broker's URL wants a user and a host: amqps://user@host:port/vhost")
    secret = unquote(parts.password or "") or password
    if not secret and not enrols:
        raise ValueError("there is no enrolment secret: set PILOTBUS_PILOT_SECRET or --secret-file, and PILOTBUS_DOOR_URL")
    return Login(parts.hostname, port, unquote(parts.path[1:]) or "/", unquote(parts.username or ""), secret, ca_file)
