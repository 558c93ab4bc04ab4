"""The other end of the pilot's line: a small service on the real broker, a sandbox store, and a cable that can be cut."""

from __future__ import annotations

import contextlib
import hashlib
import json
import socket
import ssl
import threading
import time
import uuid
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pika
from pika.credentials import ExternalCredentials

from bus.login import login

Envelope = dict[str, Any]


def parameters(url: str, ca_file: str) -> Any:
    """How to connect to this URL."""
    who = login(url)
    how = ExternalCredentials() if who.external else pika.PlainCredentials(who.account, who.secret())
    options = pika.SSLOptions(who.tls(ca_file), who.host)
    return pika.ConnectionParameters(who.host, who.port, who.vhost, how, ssl_options=options)


def leases(beat: Envelope, lease_s: int = 600) -> dict[str, Any]:
    """Whatever the pilot has is its own."""
    named = [{name: job[name] for name in ("job_id", "attempt")} for job in beat["data"]["jobs"]]
    return {"beat_s": 60, "leases": [{**job, "lease_s": lease_s} for job in named]}


class Services:
    """Hears all that outsiders say and answers requests; a request whose type it has no answer for stays parked."""

    def __init__(self, service_url: str, ca_file: str) -> None:
        self.heard: list[Envelope] = []
        self.senders: list[str] = []
        none = {"code": "not_found", "reason": "ada has none here"}
        credentials = ("proxy.fetch.v1", "token.job.v1")
        self.answers: dict[str, Callable[[Envelope], Any]] = dict.fromkeys(credentials, lambda _: {"refuse": none})
        self.answers["pilot.beat.v1"] = leases
        self.parked: list[tuple[Envelope, str]] = []
        self._news = threading.Condition()
        self._connection: Any = pika.BlockingConnection(parameters(service_url, ca_file))
        self._channel: Any = self._connection.channel()
        for exchange in ("ingress", "telemetry", "requests", "events"):
            self._channel.exchange_declare(exchange, "topic", durable=True)
        queue = self._channel.queue_declare("", exclusive=True).method.queue
        for exchange in ("ingress", "telemetry", "requests"):
            self._channel.queue_bind(queue, exchange, "#")
        self._channel.basic_consume(queue, self._hear, auto_ack=True)
        self._thread = threading.Thread(target=self._channel.start_consuming, daemon=True)
        self._thread.start()

    def of(self, kind: str, **fields: Any) -> list[Any]:
        """The data of what was heard of this type, with these fields, in order and each id once."""
        found = {event["id"]: event["data"] for event in self.heard if event["type"] == kind}
        return [data for data in found.values() if all(data.get(name) == value for name, value in fields.items())]

    def until(self, holds: Callable[[], Any], seconds: float = 20) -> Any:
        """What this gives as soon as it gives anything; news wake it."""
        end = time.monotonic() + seconds
        with self._news:
            while not (found := holds()):
                assert self._news.wait(max(0.0, end - time.monotonic())), f"not within {seconds} s; heard {self._summary()}"
        return found

    def reply(self, request: Envelope, reply_to: str, data: Any, kind: str = "") -> None:
        """The asker has this answer."""
        envelope = {"specversion": "1.0", "id": str(uuid.uuid4()), "type": kind or f"{request['type']}.reply", "data": data}
        properties = pika.BasicProperties(correlation_id=request["id"])
        raw = json.dumps(envelope).encode()
        self._connection.add_callback_threadsafe(lambda: self._channel.basic_publish("", reply_to, raw, properties))

    def release(self, kind: str, data: Any) -> None:
        """Every parked request of this type is answered."""
        now, self.parked = self.parked, [pair for pair in self.parked if pair[0]["type"] != kind]
        for request, reply_to in now:
            if request["type"] == kind:
                self.reply(request, reply_to, data)

    def close(self) -> None:
        """The connection is closed."""
        self._connection.add_callback_threadsafe(self._channel.stop_consuming)
        self._thread.join(10)
        self._connection.close()

    def _hear(self, _channel: Any, method: Any, properties: Any, body: bytes) -> None:
        envelope = json.loads(body)
        with self._news:
            self.heard.append(envelope)
            self.senders.append(properties.user_id)
            assert method.routing_key == f"{properties.user_id}.{envelope['type']}.{envelope['subject']}"
            if properties.reply_to:
                answerer = self.answers.get(envelope["type"])
                answer = answerer(envelope) if answerer else None
                if answer is None:
                    self.parked.append((envelope, properties.reply_to))
                elif "refuse" in answer:
                    self.reply(envelope, properties.reply_to, answer["refuse"], "request.refused.v1.reply")
                else:
                    self.reply(envelope, properties.reply_to, answer)
            self._news.notify_all()

    def _summary(self) -> list[str]:
        return [f"{event['type']} {json.dumps(event['data'])[:160]}" for event in self.heard[-12:]]


class Store:
    """Sandboxes by digest over HTTPS."""

    def __init__(self, certificate: Path | str, key: Path | str) -> None:
        self.kept: dict[str, bytes] = {}
        self.fail_with: list[int] = []
        store = self

        class Handler(BaseHTTPRequestHandler):
            """PUT and GET of /sandbox/<digest>."""

            def do_GET(self) -> None:
                body = store.kept.get(self.path.rpartition("/")[2])
                self._answer(404 if body is None else 200, body or b'{"reason": "there is no such sandbox"}')

            def do_PUT(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if store.fail_with:
                    return self._answer(store.fail_with.pop(0), b'{"reason": "the store says no"}')
                assert hashlib.sha256(body).hexdigest() == self.path.rpartition("/")[2]
                store.kept[self.path.rpartition("/")[2]] = body
                return self._answer(201, b"{}")

            def _answer(self, code: int, body: bytes) -> None:
                self.send_response(code)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                """Tests read nothing of it."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def keep(self, body: bytes) -> dict[str, Any]:
        """The body is in the store; its digest and size."""
        digest = hashlib.sha256(body).hexdigest()
        self.kept[digest] = body
        return {"digest": digest, "size_bytes": len(body)}

    def grant(self, request: Envelope) -> dict[str, Any]:
        """The reply to a sandbox.grant."""
        digest = request["data"]["digest"]
        url = f"https://127.0.0.1:{self._server.server_address[1]}/sandbox/{digest}"
        return {"url": url, "digest": digest, "size_bytes": 1, "expires_at": "2099-01-01T00:00:00.000Z"}

    def close(self) -> None:
        """The port is free."""
        self._server.shutdown()
        self._server.server_close()


class Cable:
    """A TCP line to the broker that can be cut and mended."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.connections = 0
        self._whole = True
        self._open: list[socket.socket] = []
        threading.Thread(target=self._serve, daemon=True).start()

    def cut(self) -> None:
        """Nothing goes through, and what was connected is lost."""
        self._whole = False
        for end in self._open:
            _shut(end)
        self._open.clear()

    def mend(self) -> None:
        """New connections go through."""
        self._whole = True

    def close(self) -> None:
        """The port is free."""
        self.cut()
        _shut(self._listener)  # closed alone, it would leave its thread waiting for ever

    def _serve(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            if not self._whole:
                _shut(near)
                continue
            far = socket.create_connection(self._target)
            self.connections += 1
            self._open += [near, far]
            for one, other in ((near, far), (far, near)):
                threading.Thread(target=_pump, args=(one, other), daemon=True).start()


def _shut(end: socket.socket) -> None:
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    end.close()


def _pump(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(1 << 16):
            target.sendall(data)
    _shut(target)
    _shut(source)
