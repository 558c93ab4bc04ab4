"""HTTPS as this house serves it: one listener, TLS only, no line of access; and who is at the other end, if it shows it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol


class _Protocol(H11Protocol):
    """Tells the application what certificates the client has shown and TLS has verified, the client's own first."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """The scope of each request has them as `scope["client_certificates"]`, in PEM."""
        super().connection_made(transport)
        shown = _chain(transport.get_extra_info("ssl_object"))
        application = self.app

        async def knowing(scope: Scope, receive: Receive, send: Send) -> None:
            await application({**scope, "client_certificates": shown}, receive, send)

        self.app = knowing


def _chain(connection: Any) -> list[str]:
    if connection is None or connection.getpeercert(binary_form=True) is None:
        return []
    # public only since Python 3.13; the leaf alone does not say whose proxy it is
    inner = connection if hasattr(connection, "get_verified_chain") else connection._sslobj  # noqa: SLF001
    found = inner.get_verified_chain()
    return [ssl.DER_cert_to_PEM_cert(one if isinstance(one, bytes) else one.public_bytes(2)) for one in found]


class Server(uvicorn.Server):
    """Listens from when it is made; run() may be called in any thread and returns after `should_exit = True`."""

    def __init__(self, config: uvicorn.Config, listening: socket.socket) -> None:
        super().__init__(config)
        self._listening = listening
        self.port: int = listening.getsockname()[1]

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        """Requests are answered until should_exit is set and the last one is through."""
        with self._listening:
            super().run([self._listening, *(sockets or ())])

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """No request is under way; uvicorn only cancels those that take too long, and leaves their connections open."""
        await super().shutdown(sockets)
        if self.server_state.tasks:
            await asyncio.wait(self.server_state.tasks, timeout=1)
        for connection in tuple(self.server_state.connections):
            connection.transport.abort()
        await asyncio.sleep(0)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals stay the process's own."""
        yield


def serve(
    app: ASGIApp, bind_host: str, bind_port: int, cert: str | Path, key: str | Path, people_from: str | Path = ""
) -> Server:
    """A server for the app that listens already. Raises OSError when the port is taken or a file can not be read.

    With a folder of authorities (named by OpenSSL's hash), clients may show a certificate of one of them, or an RFC 3820
    proxy made from it; revocation is not judged here.
    """
    config = uvicorn.Config(
        app,
        ssl_certfile=str(cert),
        ssl_keyfile=str(key),
        log_config=None,
        log_level=logging.CRITICAL,  # this module tells what happened, in JSON
        access_log=False,
        loop="asyncio",  # not "auto": what else is installed shall not decide how this behaves
        http=_Protocol,
        lifespan="off",
        ws="none",
        server_header=False,
        timeout_graceful_shutdown=3,
    )
    config.load()
    if people_from and config.ssl:
        config.ssl.load_verify_locations(capath=str(people_from))
        config.ssl.verify_mode = ssl.CERT_OPTIONAL
        config.ssl.verify_flags |= ssl.VERIFY_ALLOW_PROXY_CERTS
    # whatever else this process does with its logs: a line of access holds an address, and lets in whoever reads it
    logging.getLogger("uvicorn.access").disabled = True
    host = bind_host.strip("[]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return Server(config, socket.create_server((host, bind_port), family=family))
