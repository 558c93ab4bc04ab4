"""Who logs in at the broker, and how, read from one URL with RabbitMQ's own query parameters.

amqps://pilotbus@host:5671/vhost?certfile=service.pem&keyfile=service.key    an X.509 certificate, no password (SASL EXTERNAL)
amqps://ada@host:5671/vhost?tokenfile=ada.token                              a token, read anew at each connection
amqps://pilot-p1:TOKEN@host:5671/vhost                                       a token, or a password
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from bus.errors import Unavailable

_PORTS = {"amqps": 5671, "amqp": 5672}


@dataclass(frozen=True, slots=True)
class Login:
    """One broker, one account; the secret is never printed."""

    scheme: str
    host: str
    port: int
    vhost: str
    account: str
    password: str = field(default="", repr=False)
    certificate: str = ""
    key: str = ""
    token_file: str = field(default="", repr=False)

    @property
    def external(self) -> bool:
        """Whether the certificate says who this is."""
        return bool(self.certificate)

    def secret(self) -> str:
        """The password or the token, as it is now. Raises Unavailable when there is no token yet."""
        if not self.token_file:
            return self.password
        try:
            return Path(self.token_file).read_text(encoding="ascii").strip()
        except OSError as problem:
            raise Unavailable(f"there is no token in {self.token_file}; `pilotbus login` gets one") from problem

    def tls(self, ca_file: str) -> ssl.SSLContext:
        """What both ends must show: a server that the authority vouches for, and our certificate if we have one."""
        context = ssl.create_default_context(cafile=ca_file or None)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if self.external:
            try:
                context.load_cert_chain(self.certificate, self.key or None)
            except OSError as problem:
                raise Unavailable(
                    f"the certificate {self.certificate} can not be used: {problem.strerror or problem}"
                ) from problem
        return context


def login(url: str) -> Login:
    """What the URL says."""
    parts = urlsplit(url)
    told = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    return Login(
        parts.scheme,
        parts.hostname or "localhost",
        parts.port or _PORTS.get(parts.scheme, 0),
        unquote(parts.path[1:]) or "/",
        account_of(url),
        unquote(parts.password or ""),
        told.get("certfile", ""),
        told.get("keyfile", ""),
        told.get("tokenfile", ""),
    )


def account_of(url: str) -> str:
    """Who logs in with this URL."""
    return unquote(urlsplit(url).username or "guest")
