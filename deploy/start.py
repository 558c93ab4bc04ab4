"""Settings, connections, discovered handlers, loops: the one place that wires a service process."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

import structlog
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.routing import Mount

from bus.administration import Administration, NoAdministration
from bus.apply import Words
from bus.errors import Invalid, Later
from bus.http import serve
from bus.login import login
from bus.postgres import connect
from bus.runner import Runner
from bus.settings import Settings
from deploy import check
from deploy.door import Asker, Door, refuse
from deploy.house import found_handlers, words_of
from deploy.migrate import migrate
from deploy.policies import policies
from deploy.verbs.common import USAGE, Failure
from handlers.file.store.local import LocalStore
from handlers.file.store.s3 import S3Store
from handlers.file.sweep import Hands as SweepHands
from handlers.proxy.authorities import Authorities
from handlers.proxy.hands import Hands
from handlers.proxy.vault import Vault
from handlers.share.hands import Hands as ShareHands
from handlers.token.issuer import Issuer

log = structlog.get_logger()

MEGABYTE = 1 << 20
RETIRED = ("Done", "Failed", "Killed", "Deleted")
GRANT, SWEEP, BULK = "file.grant", "file.sweep", "bulk.submit"
PROXIES = ("proxy.delegate", "proxy.deposit", "proxy.fetch")


def sandbox_store(settings: Settings) -> LocalStore | S3Store | None:
    """The store that signs and keeps sandboxes, or nothing."""
    if settings.s3_bucket:
        return S3Store(settings.s3_bucket, settings.s3_endpoint or None, int(settings.sandbox_limit_mb) * MEGABYTE)
    if not settings.sandbox_dir:
        log.warning("sandboxes.off", reason="neither PILOTBUS_SANDBOX_DIR nor PILOTBUS_S3_BUCKET is set")
        return None
    limits = int(settings.sandbox_limit_mb) * MEGABYTE, int(settings.sandbox_store_limit_mb) * MEGABYTE
    return LocalStore(settings.sandbox_dir, settings.sandbox_url, settings.sandbox_secret, *limits)


@contextlib.contextmanager
def https(settings: Settings, words: Words, issuer: Issuer | None, store: Any) -> Iterator[None]:
    """While the block lasts, the door and a local sandbox store answer HTTPS, where an address for them is set."""
    if not settings.http_bind:
        yield
        return
    asker = Asker(settings, words)
    routes = [*(Door(asker.ask, issuer, authorities_of(settings)).routes() if issuer else ())]
    if isinstance(store, LocalStore):
        routes.append(Mount("/", store.app()))
    host, _, port = settings.http_bind.rpartition(":")
    app = Starlette(routes=routes, exception_handlers={HTTPException: refuse, Exception: refuse})
    server = serve(app, host, int(port), settings.tls_cert, settings.tls_key, settings.user_ca_dir)
    thread = threading.Thread(target=server.run, name="http", daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.should_exit = True
        thread.join(timeout=5)
        asker.close()


def issuer_of(settings: Settings) -> Issuer | None:
    """Who mints tokens here, if anybody."""
    if not settings.issuer_dir:
        log.warning("tokens.off", reason="PILOTBUS_ISSUER_DIR is not set")
        return None
    return Issuer(settings.issuer_dir, settings.door_url, login(settings.amqp_url).vhost)


def hands_of(settings: Settings, issuer: Issuer | None, store: Any) -> dict[str, Any]:
    """What the handlers that touch more than rows are given, by name."""
    minting = ("pilot.enrol", "token.renew", "token.job", "token.login")
    told: dict[str, Any] = dict.fromkeys(("log.read", "match.why"), settings.operator_accounts)
    told |= {"log.tidy": days_of(settings.log_keep_days, "LOG"), "match.tidy": days_of(settings.why_keep_days, "WHY")}
    told["job.retire"] = {state: days_of(getattr(settings, f"{state.lower()}_keep_days"), state.upper(), -1) for state in RETIRED}
    told[SWEEP] = SweepHands(store, days_of(settings.sandbox_keep_days, "SANDBOX", -1))
    told["match.request"] = found = policies(settings)
    told["share.query"] = ShareHands(found.chosen, settings.operator_accounts)
    told |= {GRANT: store, BULK: store, "security.cut": administration_of(settings, issuer)}
    return {**told, **dict.fromkeys(minting, issuer)}


def days_of(said: str, what: str, least: int = 1) -> int:
    """For how many days something is kept; -1, where it is allowed, is for ever. Raises Failure."""
    if not re.fullmatch("-1|[0-9]{1,4}", said) or not least <= int(said) <= 3650:
        raise Failure(f"PILOTBUS_{what}_KEEP_DAYS is {said!r}, and wants a number of days from {least} to 3650", USAGE)
    return int(said)


def administration_of(settings: Settings, issuer: Issuer | None) -> Administration | NoAdministration:
    """How connections are closed and logins refused."""
    if not settings.management_url or issuer is None:
        log.warning("administration.off", reason="PILOTBUS_MANAGEMENT_URL is not set: a ban closes no connection")
        return NoAdministration()
    return Administration(settings.management_url, settings.ca_file, lambda: issuer.management().text)


def proxy_hands(settings: Settings) -> dict[str, Hands]:
    """What the handlers of proxies reach; without its settings each request is refused with a sentence that names them."""
    return dict.fromkeys(PROXIES, Hands(Vault(settings.vault_key_file), authorities_of(settings)))


def authorities_of(settings: Settings) -> Authorities:
    """Who vouches for people."""
    return Authorities(settings.user_ca_dir, crls_required=settings.crls_required != "no")


def run(settings: Settings, told: Callable[[], None] = lambda: None) -> int:
    """Runs until SIGTERM or SIGINT, then gives exit code 0; `told` is called when everything consumes."""
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: _stop(stopping))
    words = words_of(settings)
    everything = found_handlers(settings, words)
    with connect(settings.dsn) as connection:
        log.info("tables.migrated", applied=migrate(connection, *settings.houses))
    chosen = [name.strip() for name in settings.handlers.split(",") if name.strip()]
    store = sandbox_store(settings) if not chosen or {"file", GRANT, SWEEP, "bulk", BULK} & set(chosen) else None
    issuer = issuer_of(settings)
    judge_broker(settings, issuer)
    with https(settings, words, issuer, store):
        hands = {**hands_of(settings, issuer, store), **proxy_hands(settings)}
        runner = Runner(settings, everything, words, hands, chosen).start()
        told()
        stopping.wait()
        runner.stop()
    return 0


def judge_broker(settings: Settings, issuer: Issuer | None) -> None:
    """The broker denies by default, as far as outsiders go. Raises Invalid when it does not, or can not be asked."""
    administration = administration_of(settings, issuer)
    who = login(settings.amqp_url)
    try:
        if isinstance(administration, NoAdministration):
            raise Invalid("what the broker lets outsiders do can not be looked at: PILOTBUS_MANAGEMENT_URL is not set")
        check.judge(administration, who.vhost, who.account, settings.operator_accounts)
    except (Invalid, Later) as problem:
        if settings.development != "yes":
            raise Invalid(str(problem)) from problem
        log.warning("broker.unsafe", reason=str(problem))


def _stop(stopping: threading.Event) -> None:
    if stopping.is_set():
        os._exit(130)  # the second signal: whoever sends it will not wait
    stopping.set()
