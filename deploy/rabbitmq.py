"""A private RabbitMQ under the stack's directory: TLS only, loopback only, no guest, its own name server."""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
import socket
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from deploy import process
from deploy.accounts import VHOST
from deploy.certificates import Certificates
from deploy.process import StackError, write_private
from handlers.token.issuer import ALGORITHM, BROKER

PORTS = ("amqp", "stomp", "management", "distribution", "epmd")
SERVERS = ("epmd", "rabbitmq")
_PROGRAM = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
_START_PATIENCE_S = 90.0
STOP_PATIENCE_S = 20.0

# Erlang compares the name of a host with a certificate, and not its address: so localhost where the keys are.
# TLS itself is in _ADVANCED, because only there can a revoked certificate be told.
_CONFIGURATION = """\
listeners.tcp = none
listeners.ssl.1 = 127.0.0.1:{amqp}
stomp.listeners.tcp = none
stomp.listeners.ssl.1 = 127.0.0.1:{stomp}
stomp.ssl_cert_login = true
stomp.implicit_connect = false
management.ssl.ip = 127.0.0.1
management.ssl.port = {management}
management.ssl.cacertfile = {authority}
management.ssl.certfile = {server}
management.ssl.keyfile = {server_key}
management.ssl.versions.1 = tlsv1.3
management.ssl.versions.2 = tlsv1.2
auth_mechanisms.1 = EXTERNAL
auth_mechanisms.2 = PLAIN
ssl_cert_login_from = common_name
auth_backends.1 = internal
auth_backends.2 = rabbit_auth_backend_oauth2
auth_oauth2.resource_server_id = {audience}
auth_oauth2.algorithms.1 = {algorithm}
auth_oauth2.jwks_url = https://localhost:{http}/.well-known/jwks.json
auth_oauth2.https.peer_verification = verify_peer
auth_oauth2.https.cacertfile = {authority}
event_exchange.vhost = {vhost}
loopback_users = none
max_message_size = {largest_message}
channel_max = 16
load_definitions = {definitions}
disk_free_limit.absolute = 50MB
vm_memory_high_watermark.relative = 0.4
"""
# A certificate is looked up in the CRL of its authority, which is read from the folder at each handshake.
# At-least-once dead-lettering waits this long before it tries again; the default of three minutes looks like a loss.
_ADVANCED = """\
[{{rabbit, [
  {{ssl_options, [
    {{cacertfile, "{authority}"}}, {{certfile, "{server}"}}, {{keyfile, "{server_key}"}},
    {{verify, verify_peer}}, {{fail_if_no_peer_cert, false}}, {{versions, ['tlsv1.3', 'tlsv1.2']}},
    {{crl_check, peer}}, {{crl_cache, {{ssl_crl_hash_dir, {{internal, [{{dir, "{trusted}"}}]}}}}}}]}},
  {{dead_letter_worker_publisher_confirm_timeout, 3000}}]}}].
"""
_PLUGINS = (
    "rabbitmq_management",
    "rabbitmq_auth_mechanism_ssl",
    "rabbitmq_auth_backend_oauth2",
    "rabbitmq_stomp",
    "rabbitmq_event_exchange",
)
# A connection is a file, and a shell's usual 1,024 would be too few; far more would only cost Erlang memory.
_MANY_FILES = 'ulimit -S -n 65536 2>/dev/null || ulimit -S -n "$(ulimit -H -n)"; exec "$@"'
_LARGEST_MESSAGE_BYTES = 262_144


def launch(
    directory: Path,
    ports: Mapping[str, int],
    certificates: Certificates,
    definitions: Mapping[str, Any],
    signing_keys: Mapping[str, Path],
) -> None:
    """The broker is on its way; every start imports the definitions again, so they always hold.

    It believes tokens signed with these keys, and with those that the door publishes under names it has not seen yet.
    """
    if not _PROGRAM.exists():
        raise StackError("RabbitMQ is not installed on this machine; `make setup` installs it.")
    home = directory / "rabbitmq"
    home.mkdir(exist_ok=True)
    if not _ready_mark(directory).exists():
        # A first start that was cut short leaves a half-made database behind.
        shutil.rmtree(home / "mnesia", ignore_errors=True)
    _write_configuration(home, ports, certificates, definitions, signing_keys)
    _launch_epmd(directory, home, ports["epmd"])
    # The last argument means nothing to Erlang; it lets `process` recognise the script and the broker as this stack's.
    command = ["/bin/sh", "-c", _MANY_FILES, "sh", str(_PROGRAM), "-pilotbus", f"{home}/"]
    process.launch(directory, "rabbitmq", command, _environment(directory, home, ports))


def wait_until_ready(directory: Path, port: int, certificates: Certificates) -> None:
    """The broker takes connections: its AMQP listener opens last, after plugins and definitions."""
    context = ssl.create_default_context(cafile=str(certificates.authority))

    def answers() -> bool:
        try:
            with (
                socket.create_connection(("127.0.0.1", port), timeout=2.0) as plain,
                context.wrap_socket(plain, server_hostname="127.0.0.1"),
            ):
                return True
        except OSError:
            return False

    process.wait_until_ready(directory, "rabbitmq", answers, _START_PATIENCE_S)
    _ready_mark(directory).touch()


def stop(directory: Path, patience_s: float = STOP_PATIENCE_S) -> None:
    """Neither the broker nor its name server runs."""
    process.end(directory, "rabbitmq", signal.SIGTERM, patience_s)
    process.end(directory, "epmd", signal.SIGTERM, STOP_PATIENCE_S)


def _ready_mark(directory: Path) -> Path:
    return directory / "rabbitmq" / "was-ready"


def _write_configuration(
    home: Path,
    ports: Mapping[str, int],
    certificates: Certificates,
    definitions: Mapping[str, Any],
    signing_keys: Mapping[str, Path],
) -> None:
    definitions_file = home / "definitions.json"
    write_private(definitions_file, json.dumps(definitions, indent=1))
    told: dict[str, Any] = {
        **ports,
        "authority": certificates.authority,
        "server": certificates.server,
        "server_key": certificates.server_key,
        "trusted": certificates.trusted,
        "definitions": definitions_file,
        "audience": BROKER,
        "algorithm": ALGORITHM,
        "vhost": VHOST,
        "largest_message": _LARGEST_MESSAGE_BYTES,
    }
    keys = [f"auth_oauth2.signing_keys.{kid} = {path}\n" for kid, path in signing_keys.items()]
    write_private(home / "rabbitmq.conf", _CONFIGURATION.format(**told) + "".join(keys))
    write_private(home / "advanced.config", _ADVANCED.format(**told))
    write_private(home / "enabled_plugins", f"[{','.join(_PLUGINS)}].\n")


def _launch_epmd(directory: Path, home: Path, port: int) -> None:
    """Erlang's name server of this stack answers; left to itself, Erlang would start one that nobody ends."""
    program = shutil.which("epmd")
    if program is None:
        raise StackError("Erlang's epmd is not in PATH; `make setup` installs it together with RabbitMQ.")
    link = home / "epmd"
    link.unlink(missing_ok=True)
    link.symlink_to(program)
    if process.leader_of(directory, "epmd") is None:  # it outlives a broker that was killed
        process.launch(directory, "epmd", [str(link), "-address", "127.0.0.1", "-port", str(port)], {})

    def answers() -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1.0):
            return True
        return False

    process.wait_until_ready(directory, "epmd", answers, _START_PATIENCE_S)


def _environment(directory: Path, home: Path, ports: Mapping[str, int]) -> dict[str, str]:
    distribution = str(ports["distribution"])
    return {
        "HOME": str(home),
        "RABBITMQ_CONF_ENV_FILE": "/dev/null",
        "RABBITMQ_NODENAME": f"pilotbus-{directory.name}@localhost",
        "RABBITMQ_MNESIA_BASE": str(home / "mnesia"),
        "RABBITMQ_FEATURE_FLAGS_FILE": str(home / "mnesia" / "feature_flags"),
        "RABBITMQ_LOG_BASE": str(home / "log"),
        "RABBITMQ_LOGS": "-",
        "RABBITMQ_PID_FILE": str(home / "pid"),
        "RABBITMQ_CONFIG_FILE": str(home / "rabbitmq.conf"),
        "RABBITMQ_ADVANCED_CONFIG_FILE": str(home / "advanced.config"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(home / "enabled_plugins"),
        "RABBITMQ_GENERATED_CONFIG_DIR": str(home / "generated"),
        "RABBITMQ_DIST_PORT": distribution,
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
        "ERL_EPMD_PORT": str(ports["epmd"]),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "ERL_CRASH_DUMP": str(home / "erl_crash.dump"),
    }
