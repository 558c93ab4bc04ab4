"""A TCP line to a broker: straight, or through the HTTP proxy that the environment names."""

from __future__ import annotations

import base64
import os
import socket
import time
from dataclasses import dataclass, field
from typing import Optional
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

from schemas.rules.secrets import remember

PATIENCE_S = 10.0
_LONGEST_ANSWER_BYTES = 16_384


class NoWay(OSError):
    """The proxy lets nobody through; one sentence says why."""


@dataclass(frozen=True)
class Proxy:
    """An HTTP proxy that is asked to CONNECT; its password is never printed."""

    host: str
    port: int
    authorization: str = field(default="", repr=False)


def through(proxy: str) -> None:
    """All of this process goes through this proxy from now on, or through none if that is its name. Raises NoWay."""
    if proxy == "none":
        os.environ["no_proxy"] = "*"
    elif proxy:
        os.environ["https_proxy"] = proxy
    _named()


def proxy_to(host: str, port: int) -> Optional[Proxy]:
    """The proxy of `https_proxy` unless `no_proxy` excepts this host, as urllib has it. Raises NoWay."""
    return None if proxy_bypass(f"{host}:{port}") else _named()


def _named() -> Optional[Proxy]:
    url = getproxies().get("https", "")
    if not url:
        return None
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        port = parts.port or 80
    except ValueError as problem:
        raise NoWay("the proxy's address is not well formed; it wants http://host:port") from problem
    if parts.scheme != "http" or not parts.hostname:
        raise NoWay("the proxy's address wants http://host:port")
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    remember(password)
    pair = base64.b64encode(f"{user}:{password}".encode()).decode() if user else ""
    remember(pair)
    return Proxy(parts.hostname, port, pair)


def dial(host: str, port: int) -> socket.socket:
    """A connected socket. Raises OSError."""
    proxy = proxy_to(host, port)
    if proxy is None:
        return socket.create_connection((host, port), timeout=PATIENCE_S)
    line = socket.create_connection((proxy.host, proxy.port), timeout=PATIENCE_S)
    try:
        tunnel(line, proxy, host, port)
    except BaseException:
        line.close()
        raise
    return line


def tunnel(line: socket.socket, proxy: Proxy, host: str, port: int) -> None:
    """The connection to the proxy leads to this host from now on. Raises OSError."""
    place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    asked = [f"CONNECT {place} HTTP/1.1", f"Host: {place}"]
    if proxy.authorization:
        asked.append(f"Proxy-Authorization: Basic {proxy.authorization}")
    line.settimeout(PATIENCE_S)
    line.sendall("\r\n".join([*asked, "", ""]).encode())
    until = time.monotonic() + PATIENCE_S
    answer = b""
    # byte by byte: what follows the empty line belongs to the broker
    while not answer.endswith(b"\r\n\r\n"):
        piece = line.recv(1)
        answer += piece
        if not piece or len(answer) > _LONGEST_ANSWER_BYTES or time.monotonic() > until:
            raise NoWay(f"the proxy {proxy.host}:{proxy.port} does not answer as an HTTP proxy does")
    status = answer.split(b"\r\n", 1)[0].decode("ascii", "replace")
    if not status.startswith("HTTP/1.") or status.split(" ")[1:2] != ["200"]:
        raise NoWay(f"the proxy {proxy.host}:{proxy.port} does not connect to {place}: {status[:200]!r}")
