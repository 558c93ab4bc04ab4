"""One process of loops: any set of handlers, with the gate, the relay, the clock and the parking attendant."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

import structlog

from bus.apply import Words
from bus.broker_events import BrokerEventsLoop
from bus.consume import HandlerLoop, Loop
from bus.discover import Handler
from bus.errors import Unavailable
from bus.gate import Gate
from bus.login import account_of
from bus.loops import AnswerLoop, Clock, GateLoop, ParkingLoop
from bus.publisher import Publisher
from bus.pulse import Pulse
from bus.relay import Relay
from bus.serving import ServeLoop
from bus.settings import Settings
from bus.standing import Rates
from bus.topology import topology
from bus.transport import Transport

log = structlog.get_logger()

GRACE_S = 20.0
TAKE_TURNS_S = 0.0005
LOOPS = {"answer": AnswerLoop, "serve": ServeLoop}


class Runner:
    """Everything that one process runs; started and stopped as a whole."""

    def __init__(
        self, settings: Settings, handlers: Sequence[Handler], words: Words, hands: Mapping[str, Any], run: Sequence[str] = ()
    ) -> None:
        """`handlers` are all there are, for the topology; `run` names those of this process, none meaning all."""
        self._settings = settings
        self._topology = topology(handlers, words.known)
        self._publisher = Publisher(settings.amqp_url, settings.ca_file)
        self._relay = Relay(self._publisher, settings.dsn, self._topology)
        self._clock = Clock(settings.dsn, words, self._relay.send)
        self._pulse = Pulse()
        rates = Rates(float(settings.rate_per_s), float(settings.rate_burst))
        gate = Gate(words, settings.operator_accounts, account_of(settings.amqp_url), rates)
        about: dict[str, Any] = {
            "url": settings.amqp_url,
            "ca_file": settings.ca_file,
            "dsn": settings.dsn,
            "topology": self._topology,
            "send": self._relay.send,
            "words": words,
            "pulse": self._pulse,
        }
        self._loops: list[Loop] = [
            GateLoop(gate, **about),
            ParkingLoop(**about),
            BrokerEventsLoop(settings.events_vhost, **about),
        ]
        for handler in handlers:
            if not run or handler.name in run or handler.name.split(".")[0] in run:
                kind = LOOPS.get(handler.verb, HandlerLoop)
                self._loops.append(kind(handler, hands.get(handler.name), gate, **about))

    def start(self) -> Runner:
        """Everything consumes. Raises Unavailable when the broker or the database can not be reached."""
        # a loop that has its answer from the database would wait Python's 5 ms each time for the others to let it go on
        sys.setswitchinterval(TAKE_TURNS_S)
        with Transport(self._settings.amqp_url, self._settings.ca_file).closing() as transport:
            transport.declare(self._topology)
        self._publisher.start()
        self._relay.start()
        self._clock.start()
        self._pulse.start()
        for loop in self._loops:
            loop.start()
        until = time.monotonic() + 60
        for loop in self._loops:
            if not loop.ready.wait(max(0.0, until - time.monotonic())):
                self.stop()
                raise Unavailable(f"{loop.name} did not begin to consume within 60 s")
        log.info("runner.ready", loops=len(self._loops))
        return self

    def stop(self) -> None:
        """Nothing new is taken, what was in hand is finished, and all connections are closed."""
        for loop in self._loops:
            loop.stop()
        until = time.monotonic() + GRACE_S
        for loop in self._loops:
            loop.join(max(0.1, until - time.monotonic()))
        self._clock.stop()
        self._pulse.stop()
        self._relay.stop()
        self._publisher.stop()
        log.info("runner.stopped")
