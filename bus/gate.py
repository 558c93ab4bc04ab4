"""The gate between what outsiders say and what the house believes: who, in whose name, with which right, in which words."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from psycopg import Connection

from bus.apply import Stored, Words, store, unseen
from bus.errors import Invalid
from bus.event import Event
from bus.parking import quarantine, storable
from bus.standing import Rates, Standing
from bus.transport import FIRST_ACCOUNT, Delivery
from schemas import exchange_of, key_of
from schemas.rules.identity import pilot_of

NAME = "gate"
REFUSED = "security.refused.v1"
FLOODED = "security.flooded.v1"
SOURCE = "/pilotbus/bus.gate"
SURELY_FITS_BYTES = 20_000  # escaping makes a letter at most three times as long, and the gate adds little
AHEAD = timedelta(minutes=5)
BEHIND = timedelta(days=14)  # a pilot's spool rides out a long absence; longer, and the inbox has forgotten what it knew
MOST_ALARMS = 1_000
PERSONS_COST = 0.2  # a person's program may say five times as much as a pilot: it speaks for many jobs


class Denied(Invalid):
    """The sender is known and has no right to say this."""


class Flooded(Denied):
    """The sender says more than anybody should; what is too much is dropped unread."""


class Gate:
    """What every message from outside must pass, be it an event, a request or telemetry; shared by a process' loops."""

    def __init__(self, words: Words, operators: frozenset[str], service: str = "", rates: Rates | None = None) -> None:
        self._words, self._operators, self._service = words, operators, service
        self._standing, self._rates = Standing(), rates or Rates(0, 0)
        self._alarms: deque[Event] = deque(maxlen=MOST_ALARMS)

    def learn(self, connection: Connection[Any], deliveries: Sequence[Delivery]) -> None:
        """Who sent these is known as the database has it; to be called before `admit`."""
        self._standing.learn(connection, {delivery.account for delivery in deliveries})

    def kinds(self, account: str) -> frozenset[str]:
        """In which roles an account speaks: pilot; client; operator; door."""
        if pilot_of(account) is not None:
            return frozenset({"pilot"})
        if account == self._service:
            return frozenset({"door"})
        operates = account in self._operators or self._standing.of(account).operates
        return frozenset({"client", "operator"}) if operates else frozenset({"client"})

    def within_rate(self, delivery: Delivery) -> None:
        """Raises Flooded when the sender says too much."""
        account = delivery.account
        if not account or account == self._service:
            return
        if not self._rates.spend(account, 1.0 if pilot_of(account) is not None else PERSONS_COST):
            raise Flooded(f"{account} sends more than it may; slow down")

    def admit(self, delivery: Delivery, event: Event) -> Event:
        """The event with its sender, whom the broker has verified. Raises Invalid or Denied with the reason."""
        account = delivery.account
        if not account:
            raise Denied("no user_id: the sender does not say who it is")
        # a replay comes from the services' own account by the default exchange, where nobody else may write
        replayed = delivery.exchange == "" and account == self._service
        if replayed:
            account = str(delivery.headers.get(FIRST_ACCOUNT) or account)
        if banned := self._standing.of(account).banned:
            raise Denied(banned)
        if not event.source.startswith(f"/{account}/"):
            raise Denied(f"source {event.source} is not of account {account}")
        wanted = f"{account}.{event.type}.{event.subject}"
        if delivery.routing_key != wanted and not replayed:
            raise Denied(f"routing key {delivery.routing_key} is not {wanted}")
        schema = self._words.known[event.type]
        if not self.kinds(account) & set(schema["x-emitted-by"]):
            raise Denied(f"{event.type} may be sent by {' or '.join(schema['x-emitted-by'])}, and {account} is neither")
        _judge_subject(event, schema)
        self._judge_pilot(event, account)
        _judge_time(event)
        return event.attested(account)

    def _judge_pilot(self, event: Event, account: str) -> None:
        """A pilot speaks of itself, and from where it was enrolled."""
        pilot_id = pilot_of(account)
        if pilot_id is None or not isinstance(event.data, dict):
            return
        known = self._standing.of(account)
        for name, own in (("pilot_id", pilot_id), ("site", known.site)):
            said = event.data.get(name, own)
            if own is not None and said != own:
                raise Denied(f"{account} says {name} {said}, and is {own}")

    def alarm(self, delivery: Delivery, problem: Invalid) -> None:
        """What was refused elsewhere than at the gate will be said by it too."""
        if not isinstance(problem, Flooded):
            self._alarms.append(refusal(delivery, problem))

    def alarms(self) -> list[Event]:
        """What is to be said of refusals and floods since this was last asked."""
        found = [self._alarms.popleft() for _ in range(len(self._alarms))]
        for account, count in self._rates.floods().items():
            found.append(Event(FLOODED, SOURCE, word(account), {"account": account, "dropped": count}))
        return found

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
        self.learn(connection, deliveries)
        good: list[Event] = []
        bad: list[tuple[Delivery, Invalid]] = []
        for delivery in deliveries:
            try:
                self.within_rate(delivery)
                good.append(self.read(delivery))
            except Flooded:
                continue
            except Invalid as problem:
                bad.append((delivery, problem))
        with connection.transaction():
            passed = unseen(connection, NAME, good)
            for delivery, reason in bad:
                quarantine(connection, delivery, str(reason))
            return store(connection, [*passed, *(refusal(delivery, reason) for delivery, reason in bad)], self._words)


def _judge_subject(event: Event, schema: Mapping[str, Any]) -> None:
    name = key_of(schema)
    if name and event.subject != str(event.data[name]).replace(".", "_"):
        raise Invalid(f"subject {event.subject} is not the {name} of the body, {event.data[name]}")


def _judge_time(event: Event) -> None:
    ahead = datetime.fromisoformat(event.time) - datetime.now(UTC)
    if ahead > AHEAD:
        raise Invalid(f"event.time: {event.time} is {ahead.total_seconds():.0f} s ahead of the services' clock")
    if -ahead > BEHIND:
        raise Invalid(f"event.time: {event.time} is more than {BEHIND.days} days ago")


def refusal(delivery: Delivery, problem: Invalid) -> Event:
    """The event that says what was refused, of whom, and why."""
    account = delivery.account or "unknown"
    data: dict[str, Any] = {
        "account": storable(account),
        "reason": storable(str(problem)[:1000]),
        "outcome": "denied" if isinstance(problem, Denied) else "invalid",
    }
    try:
        event = Event.from_json(delivery.body)
    except Invalid:
        return Event(REFUSED, SOURCE, word(account), data)
    data |= {"refused_id": event.id, "refused_type": event.type}
    return Event(REFUSED, SOURCE, word(account), data, causationid=event.id)


def word(text: str) -> str:
    """The text as one word of a routing key."""
    return "".join(letter if letter.isascii() and (letter.isalnum() or letter in "_-") else "_" for letter in text)[:64] or "_"
