"""What is said over one connection, and what comes of the answers, in whatever words the connection speaks."""

from __future__ import annotations

import time
from typing import Any, Callable

from pilot.wire.outbox import Outbox, backoff

INGRESS, REQUESTS, TELEMETRY = "ingress", "requests", "telemetry"
REPLY_TO = "amq.rabbitmq.reply-to"
TICK_S = 0.2
HEARTBEAT_S = 30
UNCONFIRMED_S = 60  # a broker that is short of memory or disk confirms nothing
RENEWED = ""  # the reason of an end that was wished for, to go on with another token


class LoginRefused(Exception):
    """The broker does not let this account in."""


class Conversation:
    """The next things to say, in their order; `send` takes an exchange and an envelope. For one thread."""

    def __init__(self, outbox: Outbox, send: Callable[[str, dict[str, Any]], None], complain: Callable[[str], None]) -> None:
        self._outbox = outbox
        self._send = send
        self._complain = complain
        self._takes_lines = self._is_over = False
        self._record_out = ""
        self._record_due = 0.0
        self._record_failures = 0

    def open_lines(self) -> None:
        """Log lines are taken from now on; those that the last connection left unconfirmed go first."""
        self._takes_lines = not self._outbox.lines_refused  # once refused they are refused for good
        if self._takes_lines:
            for envelope in list(self._outbox.batches.values()):
                self._send(TELEMETRY, envelope)
        self.pump()

    def close_lines(self, reason: str) -> None:
        """The broker takes no log lines of this pilot; all else goes on."""
        self._takes_lines = False
        self._outbox.lines_refused = reason
        self._complain(f"the broker takes no log lines: {reason}")
        self._outbox.changed()

    def finish(self) -> None:
        """Nothing new is said from now on; what is out may still be answered."""
        self._is_over = True

    def pump(self) -> None:
        """All that may be sent now is sent."""
        if self._is_over:
            return
        self._send_record()
        for ask in self._outbox.due_asks():
            ask.due = time.monotonic() + ask.again_after_s
            self._send(REQUESTS, ask.envelope)
        if self._takes_lines:
            for envelope in self._outbox.new_batches():
                self._send(TELEMETRY, envelope)

    def answered(self, exchange: str, message_id: str, *, kept: bool) -> None:
        """The broker has answered for what was sent: kept is True when a queue has it."""
        if exchange == TELEMETRY:
            self._outbox.batches.pop(message_id, None)
            self._outbox.changed()
        elif exchange == INGRESS:
            self._record_answered(message_id, kept=kept)
        elif not kept:
            self._outbox.refused_by_broker(message_id)

    def replied(self, correlation_id: str, body: bytes) -> None:
        """A service has answered a request."""
        self._outbox.answered(correlation_id, body)

    def _send_record(self) -> None:
        # one at a time: with two on the way a nack of the first would turn their order around
        if self._record_out or time.monotonic() < self._record_due:
            return
        envelope = self._outbox.spool.first()
        if envelope is not None:
            self._record_out = envelope["id"]
            self._send(INGRESS, envelope)

    def _record_answered(self, message_id: str, *, kept: bool) -> None:
        self._record_out = ""
        self._record_failures = 0 if kept else self._record_failures + 1
        if kept:
            self._outbox.spool.confirm(message_id)
            self._outbox.changed()
        else:
            self._record_due = time.monotonic() + backoff(self._record_failures)
            if self._record_failures == 1:
                self._complain("no queue takes this pilot's events; they are kept and sent again")
        self.pump()
