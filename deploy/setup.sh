#!/bin/sh
# What the project needs on this machine: RabbitMQ, PostgreSQL, bubblewrap, and a .venv with the locked packages.
# Called by make before everything else; says nothing and takes no time when all is there.
set -eu
cd "$(dirname "$0")/.."
export DEBIAN_FRONTEND=noninteractive PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1 PIP_ROOT_USER_ACTION=ignore

say() { echo "setup: $*" >&2; }
fail() { say "$*"; exit 1; }

# Runs a command quietly; its output is shown only when it fails.
quietly() {
    log=$(mktemp)
    if "$@" >"$log" 2>&1; then rm -f "$log"; else
        code=$?
        tail -n 30 "$log" >&2
        say "this failed: $*; the whole output is in $log"
        return "$code"
    fi
}

has_rabbitmq() { [ -x /usr/lib/rabbitmq/bin/rabbitmq-server ]; }
has_postgres() { for path in /usr/lib/postgresql/*/bin/postgres; do [ -x "$path" ] && return 0; done; return 1; }

# The first Python of at least 3.11; PYTHON, when set, is the only one looked at.
find_python() {
    for candidate in ${PYTHON:-python3 python3.11 python3.12 python3.13 /usr/bin/python3}; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
            command -v "$candidate"
            return 0
        fi
    done
    return 1
}
# Debian's Python comes without what `python3 -m venv` needs.
makes_venvs() { "$1" -c 'import ensurepip, venv' >/dev/null 2>&1; }

# As root. Installs the packages given and leaves no system service running or enabled on their account.
install_packages() {
    policy=/usr/sbin/policy-rc.d
    if [ ! -e "$policy" ]; then
        trap 'rm -f "$policy"' EXIT
        trap 'exit 129' HUP
        trap 'exit 130' INT
        trap 'exit 143' TERM
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod 755 "$policy"
    fi
    units=
    has_rabbitmq || units="rabbitmq-server.service epmd.service epmd.socket"
    has_postgres || units="$units postgresql.service"
    quietly apt-get update
    quietly apt-get install -y --no-install-recommends "$@"
    for unit in $units; do
        # Fails where there is no systemd, and there is then nothing to disable.
        systemctl disable --now "$unit" >/dev/null 2>&1 || true
    done
}

need_packages() {
    command -v apt-get >/dev/null || fail "please install these first, only Debian is done automatically: $*"
    say "installing Debian packages: $*"
    if [ "$(id -u)" = 0 ]; then
        sh deploy/setup.sh --packages "$@"
    elif command -v sudo >/dev/null; then
        say "sudo is used once, because only root may install packages; no service is left running"
        sudo sh deploy/setup.sh --packages "$@"
    else
        fail "only root may install packages and there is no sudo; please have these installed: $*"
    fi
}

if [ "${1:-}" = --packages ]; then
    shift
    install_packages "$@"
    exit
fi

python=$(find_python) || python=
[ -n "$python" ] || [ -z "${PYTHON:-}" ] || fail "PYTHON=$PYTHON is not a Python of version 3.11 or newer"
missing=
has_rabbitmq || missing="$missing rabbitmq-server"
has_postgres || missing="$missing postgresql"
command -v openssl >/dev/null || missing="$missing openssl"
if [ ! -x .venv/bin/python ]; then
    { [ -n "$python" ] && makes_venvs "$python"; } || missing="$missing python3-venv"
fi
# Wanted, not needed: nobody is asked for a password, and no setup fails, for its sake alone.
if ! command -v bwrap >/dev/null && command -v apt-get >/dev/null; then
    if [ -n "$missing" ] || [ "$(id -u)" = 0 ]; then missing="$missing bubblewrap"; fi
fi
# shellcheck disable=SC2086
[ -z "$missing" ] || need_packages $missing

# Wanted, not needed: the tests of the pilot skip a Python that is not there. What failed once is tried again after `make clean`.
has_python() { [ -x ".run/pythons/$1/usr/bin/python$1" ] || "python$1" -V >/dev/null 2>&1; }
if { ! has_python 3.9 || ! has_python 3.13; } && [ ! -e .run/pythons/failed ] && command -v apt-get >/dev/null; then
    say "unpacking Python 3.9 and 3.13 of Debian into .run/pythons, for the tests of the pilot"
    mkdir -p .run/pythons
    quietly sh deploy/pythons.sh .run/pythons || { : >.run/pythons/failed; say "so the pilot is not tested on both"; }
fi

# Clearing it would clear what it points to, which is somebody else's.
[ ! -L .venv ] || fail ".venv is a link; remove it, and it is made anew here"

# The folder is part of the stamp: a copied clone has a .venv that points to the place it came from.
stamp=$({ cat requirements.lock pyproject.toml; pwd; } | sha256sum | cut -d ' ' -f 1)
[ "$(cat .venv/stamp 2>/dev/null)" != "$stamp" ] || exit 0

python=$(find_python) || fail "no Python of version 3.11 or newer was found; name one with PYTHON=/path/to/python3"
makes_venvs "$python" || fail "$python cannot make virtual environments (no ensurepip); name another one with PYTHON="
say "installing the locked packages into .venv with $python"
# The launchers in .venv name their place; one that was copied here from elsewhere is made again.
grep -q "$(pwd)/.venv" .venv/bin/pip 2>/dev/null || quietly "$python" -m venv --clear .venv
quietly .venv/bin/python -m pip install --require-hashes -r requirements.lock
# With the build tools in the lock file nothing unpinned is fetched; otherwise pip fetches them for the build alone.
isolation=
! .venv/bin/python -c 'import editables, hatchling' 2>/dev/null || isolation=--no-build-isolation
quietly .venv/bin/python -m pip install --no-deps $isolation -e .
echo "$stamp" >.venv/stamp
