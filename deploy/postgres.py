"""A private PostgreSQL under the stack's directory: TLS and passwords only, loopback only, durable."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

from deploy import process
from deploy.certificates import Certificates
from deploy.process import StackError, write_private

PORTS = ("postgres",)
SERVERS = ("postgres",)
ROLE = DATABASE = "pilotbus"
_USER = "postgres"
_START_PATIENCE_S = 60.0
_STOP_PATIENCE_S = 20.0
_DURABLE = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"}
_HOST_RULES = "hostssl all all 127.0.0.1/32 scram-sha-256\n"


def launch(directory: Path, port: int, certificates: Certificates, password: str) -> None:
    """The server is on its way, with role and database made when it is the first time."""
    programs = _programs()
    data = _data_directory(directory)
    become = _become_owner(data)
    if not _made_mark(data).exists():
        _make(directory, data, [*become, str(programs / "initdb")], [*become, str(programs / "postgres")], password)
    _give_certificates(data, certificates)
    # The last setting means nothing to the server; it lets `process` recognise the server as this stack's.
    settings = _settings(port) | {"pilotbus.stack": f"{directory}/"}
    options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
    process.launch(directory, "postgres", [*become, str(programs / "postgres"), "-D", str(data), *options], {})


def wait_until_ready(directory: Path) -> None:
    """The server takes connections; it says so in the last line of its own pid file."""
    pid_file = _data_directory(directory) / "postmaster.pid"

    def answers() -> bool:
        try:
            lines = pid_file.read_text().splitlines()
        except OSError:
            return False
        ours = lines[:1] == [str(process.leader_of(directory, "postgres"))]
        return ours and lines[-1].strip() == "ready"

    process.wait_until_ready(directory, "postgres", answers, _START_PATIENCE_S)


def stop(directory: Path) -> None:
    """The server does not run; open transactions were rolled back."""
    process.end(directory, "postgres", signal.SIGINT, _STOP_PATIENCE_S)


def forget(directory: Path) -> None:
    """No data of this server is left outside the stack's directory."""
    if _elsewhere(directory).exists():
        shutil.rmtree(_elsewhere(directory).read_text().strip(), ignore_errors=True)


def _programs() -> Path:
    """The directory of the newest server programs on this machine."""
    found = [path for path in Path("/usr/lib/postgresql").glob("*/bin") if (path / "postgres").exists()]
    if not found:
        raise StackError("PostgreSQL is not installed on this machine; `make setup` installs it.")
    return max(found, key=lambda path: int(re.sub(r"\D", "", path.parent.name) or 0))


def _is_root() -> bool:
    return os.geteuid() == 0


def _elsewhere(directory: Path) -> Path:
    """A file that names the data directory when it could not be inside the stack's."""
    return directory / "postgres-data-is-in"


def _data_directory(directory: Path) -> Path:
    """Where the data are: an existing directory, owned by who will run the server."""
    if _elsewhere(directory).exists() and Path(_elsewhere(directory).read_text().strip()).is_dir():
        return Path(_elsewhere(directory).read_text().strip())
    data = directory / "postgres"
    if not data.is_dir():
        _own(data)
    if _is_root() and not _may_use(_become_user(), data) and not _may_use(_become_user_anywhere(), data):
        data = Path(tempfile.mkdtemp(prefix=f"pilotbus-{directory.name}-")) / "postgres"
        data.parent.chmod(0o711)
        _own(data)
        write_private(_elsewhere(directory), str(data))
    return data


def _own(path: Path) -> None:
    path.mkdir(mode=0o700)
    _give(path)


def _give(path: Path) -> None:
    """The path belongs to who runs the server."""
    if _is_root():
        try:
            owner = pwd.getpwnam(_USER)
        except KeyError:
            raise StackError(f"There is no account {_USER!r}, and PostgreSQL refuses to run as root.") from None
        os.chown(path, owner.pw_uid, owner.pw_gid)


def _become_owner(data: Path) -> list[str]:
    """Words before a command that make it run as the owner of the data: PostgreSQL refuses root."""
    if not _is_root():
        return []
    return _become_user() if _may_use(_become_user(), data) else _become_user_anywhere()


def _become_user() -> list[str]:
    return ["setpriv", f"--reuid={_USER}", f"--regid={_USER}", "--init-groups"]


def _become_user_anywhere() -> list[str]:
    """As above, for data below a directory that only root may enter, such as root's home."""
    return [*_become_user(), "--inh-caps=+dac_override", "--ambient-caps=+dac_override"]


def _may_use(become: list[str], data: Path) -> bool:
    # Entering is tried for real: `test -w` asks access(2), which ignores the capability.
    tried = subprocess.run([*become, "sh", "-c", 'cd "$0"', str(data)], stderr=subprocess.DEVNULL, cwd="/", check=False)
    return tried.returncode == 0


def _made_mark(data: Path) -> Path:
    return data / "pilotbus-made"


def _make(directory: Path, data: Path, initdb: list[str], postgres: list[str], password: str) -> None:
    """An empty cluster has the role and its database, and lets in nobody without TLS and a password."""
    shutil.rmtree(data)
    _own(data)
    unsynced = [] if _durability()["fsync"] == "on" else ["--no-sync"]
    options = ["-D", str(data), "-U", _USER, "-A", "reject", "-E", "UTF8", "--locale=C.UTF-8", *unsynced]
    process.run_to_end(directory, "postgres-initdb", [*initdb, *options])
    # The single-user mode needs no listener, so the superuser never gets a password and can never log in.
    statements = f"CREATE ROLE {ROLE} LOGIN CREATEDB PASSWORD '{password}'\nCREATE DATABASE {DATABASE} OWNER {ROLE}\n"
    statements += f"GRANT pg_checkpoint TO {ROLE}\n"  # benches end the writing of what they have loaded
    alone = [*postgres, "--single", "-D", str(data), "-c", "exit_on_error=on", "-c", "log_statement=none", "postgres"]
    process.run_to_end(directory, "postgres-roles", alone, statements)
    write_private(data / "pg_hba.conf", _HOST_RULES)
    _give(data / "pg_hba.conf")
    _made_mark(data).touch()


def _give_certificates(data: Path, certificates: Certificates) -> None:
    for source, name in ((certificates.server, "server.crt"), (certificates.server_key, "server.key")):
        write_private(data / name, source.read_text())
        _give(data / name)


def _durability() -> dict[str, str]:
    off = os.environ.get("PILOTBUS_STACK_FSYNC") == "off"
    return dict.fromkeys(_DURABLE, "off") if off else _DURABLE


def _buffers_mb() -> int:
    """An eighth of this machine's memory, as far as that is of use here; it is taken only as it is used."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20
    return max(128, min(4096, memory // 8))


def _settings(port: int) -> dict[str, str]:
    return _durability() | {
        "port": str(port),
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": "",
        "ssl": "on",
        "ssl_cert_file": "server.crt",
        "ssl_key_file": "server.key",
        "password_encryption": "scram-sha-256",
        "shared_buffers": f"{_buffers_mb()}MB",
        # a page is written whole into the log when it changes first after a checkpoint: so, fewer of them, and packed
        "wal_compression": "lz4",
        "max_wal_size": "4GB",
        "checkpoint_timeout": "15min",
        "max_connections": "100",
    }
