"""The gate between what outsiders say and what the house believes: who, in whose name, with which right, in which words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from psycopg import Connection

from bus.apply import Stored, Words, store, unseen
from bus.errors import Invalid
from bus.event import Event
from bus.parking import quarantine, storable
from bus.transport import FIRST_ACCOUNT, Delivery
from schemas import exchange_of, key_of

NAME = "gate"
PILOT_ACCOUNT = "pilot"
REFUSED = "gate.refused.v1"
SURELY_FITS_BYTES = 20_000  # escaping makes a letter at most three times as long, and the gate adds little


class Denied(Invalid):
    """The sender is known and has no right to say this."""


class Gate:
    """What every message from outside must pass, be it an event, a request or telemetry."""

    def __init__(self, words: Words, operators: frozenset[str], service: str = "") -> None:
        self._words, self._operators, self._service = words, operators, service

    def kinds(self, account: str) -> frozenset[str]:
        """In which roles an account speaks: pilot; client; operator."""
        if account == PILOT_ACCOUNT:
            return frozenset({"pilot"})
        return frozenset({"client", "operator"}) if account in self._operators else frozenset({"client"})

    def admit(self, delivery: Delivery, event: Event) -> Event:
        """The event with its sender, whom the broker has verified. Raises Invalid or Denied with the reason."""
        account = delivery.account
        if not account:
            raise Denied("no user_id: the sender does not say who it is")
        # a replay comes from the services' own account by the default exchange, where nobody else may write
        replayed = delivery.exchange == "" and account == self._service
        if replayed:
            account = str(delivery.headers.get(FIRST_ACCOUNT) or account)
        if not event.source.startswith(f"/{account}/"):
            raise Denied(f"source {event.source} is not of account {account}")
        wanted = f"{account}.{event.type}.{event.subject}"
        if delivery.routing_key != wanted and not replayed:
            raise Denied(f"routing key {delivery.routing_key} is not {wanted}")
        schema = self._words.known[event.type]
        if not self.kinds(account) & set(schema["x-emitted-by"]):
            raise Denied(f"{event.type} may be sent by {' or '.join(schema['x-emitted-by'])}, and {account} is neither")
        _judge_subject(event, schema)
        return event.attested(account)

    def read(self, delivery: Delivery) -> Event:
        """The event of an ingress delivery. Raises Invalid or Denied with the reason."""
        event = Event.from_json(delivery.body)
        if event.type not in self._words.known or exchange_of(self._words.known[event.type]) != "ingress":
            raise Invalid(f"no outsider's event is called {event.type}")
        self._words.judge(event, strict=True)
        admitted = self.admit(delivery, event)
        if len(delivery.body) > SURELY_FITS_BYTES:
            admitted.to_json()  # what is small in UTF-8 can be too large as it travels on
        return admitted

    def pass_on(self, deliveries: Sequence[Delivery], connection: Connection[Any]) -> list[Stored]:
        """Each delivery is in the event store, once; or refused, with a reason event and its bytes in quarantine."""
        good: list[Event] = []
        bad: list[tuple[Delivery, str]] = []
        for delivery in deliveries:
            try:
                good.append(self.read(delivery))
            except Invalid as problem:
                bad.append((delivery, str(problem)))
        with connection.transaction():
            passed = unseen(connection, NAME, good)
            for delivery, reason in bad:
                quarantine(connection, delivery, reason)
            return store(connection, [*passed, *(_refusal(delivery, reason) for delivery, reason in bad)], self._words)


def _judge_subject(event: Event, schema: Mapping[str, Any]) -> None:
    name = key_of(schema)
    if name and event.subject != str(event.data[name]).replace(".", "_"):
        raise Invalid(f"subject {event.subject} is not the {name} of the body, {event.data[name]}")


def _refusal(delivery: Delivery, reason: str) -> Event:
    account = delivery.account or "unknown"
    data: dict[str, Any] = {"account": storable(account), "reason": storable(reason[:1000])}
    try:
        event = Event.from_json(delivery.body)
    except Invalid:
        return Event(REFUSED, "/pilotbus/bus.gate", _word(account), data)
    data |= {"refused_id": event.id, "refused_type": event.type}
    return Event(REFUSED, "/pilotbus/bus.gate", _word(account), data, causationid=event.id)


def _word(text: str) -> str:
    return "".join(letter if letter.isascii() and (letter.isalnum() or letter in "_-") else "_" for letter in text)[:64] or "_"
