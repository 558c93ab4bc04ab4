"""Settings, connections, discovered handlers, loops: the one place that wires a service process."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator

import structlog

from bus.postgres import connect
from bus.runner import Runner
from bus.settings import Settings
from deploy.house import found_handlers, words_of
from deploy.migrate import migrate
from handlers.file.store.local import LocalStore, serve
from handlers.file.store.s3 import S3Store

log = structlog.get_logger()

MEGABYTE = 1 << 20
GRANT = "file.grant"


@contextlib.contextmanager
def sandbox_store(settings: Settings) -> Iterator[LocalStore | S3Store | None]:
    """The store that signs and keeps sandboxes; a local one answers HTTPS while the block lasts."""
    if settings.s3_bucket:
        yield S3Store(settings.s3_bucket, settings.s3_endpoint or None, int(settings.sandbox_limit_mb) * MEGABYTE)
        return
    if not settings.sandbox_dir:
        log.warning("sandboxes.off", reason="neither PILOTBUS_SANDBOX_DIR nor PILOTBUS_S3_BUCKET is set")
        yield None
        return
    limits = int(settings.sandbox_limit_mb) * MEGABYTE, int(settings.sandbox_store_limit_mb) * MEGABYTE
    store = LocalStore(settings.sandbox_dir, settings.sandbox_url, settings.sandbox_secret, *limits)
    host, _, port = settings.http_bind.rpartition(":")
    server = serve(store.app(), host, int(port), settings.tls_cert, settings.tls_key)
    thread = threading.Thread(target=server.run, name="http", daemon=True)
    thread.start()
    try:
        yield store
    finally:
        server.should_exit = True
        thread.join(timeout=5)


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
    grants = not chosen or {"file", GRANT} & set(chosen)
    with sandbox_store(settings) if grants else contextlib.nullcontext() as store:
        runner = Runner(settings, everything, words, {GRANT: store}, chosen).start()
        told()
        stopping.wait()
        runner.stop()
    return 0


def _stop(stopping: threading.Event) -> None:
    if stopping.is_set():
        os._exit(130)  # the second signal: whoever sends it will not wait
    stopping.set()
