"""What a job brings and takes, against the pilot that runs it: archives, links, names and arguments lead nowhere else."""

from __future__ import annotations

import io
import os
import tarfile
from typing import Any

import pytest

from tests.attacks.rows import attack
from tests.attacks.victim import LEVELS, Victim
from tests.pilot.test_life import last, text_of

every_level = pytest.mark.parametrize("level", LEVELS)
BEGIN = "import os, sys\n"


def uploaded(victim: Victim) -> dict[str, bytes]:
    """What came back in the output sandbox of the last attempt."""
    if "output" not in victim.report:
        return {}
    with tarfile.open(fileobj=io.BytesIO(victim.store.kept[victim.report["output"]["digest"]])) as archive:
        return {member.name: archive.extractfile(member).read() for member in archive}  # type: ignore[union-attr]


@attack("payload", "has a link in its output that leads elsewhere")
@every_level
def test_links_out_of_the_work_directory_are_not_uploaded(victim: Victim, level: str) -> None:
    """A payload links output files and folders to what the pilot or root can read: none is in the output sandbox."""
    victim.start(level, "--keep-token")
    program = (
        "import glob\n"
        "home = os.path.dirname(os.path.dirname(os.getcwd()))\n"
        "for number, path in enumerate(('/etc/passwd', '/etc/shadow', home, sys.argv[2], home + '/pilotbus-token')):\n"
        "    os.symlink(path, f'stolen{number}')\n"
        "os.mkdir('folder')\n"
        "os.symlink(home + '/pilotbus-spool.jsonl', 'folder/spool')\n"
        "open('honest.txt', 'w').write('honest')\n"
    )
    victim.attempt(BEGIN + program, 0, victim.folder / "pilot.json", OutputSandbox=["stolen*", "folder", "honest.txt"])
    assert uploaded(victim) == {"honest.txt": b"honest"}


@attack("payload", "puts a link in the place of its own standard output")
@every_level
def test_output_does_not_follow_a_link(victim: Victim, level: str) -> None:
    """A payload replaces std.out by a link to a file of the pilot's user, and prints: that file does not change."""
    other = victim.folder / "other.txt"
    other.write_text("before")
    os.chown(other, victim.user, -1)
    victim.start(level)
    program = "os.unlink('std.out'); os.symlink(sys.argv[2], 'std.out'); print('after', flush=True)"
    assert victim.attempt(BEGIN + program, 0, other, OutputSandbox=["std.out"]) == ["after"]
    assert other.read_text() == "before"
    assert uploaded(victim) == {}


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    found = tarfile.TarInfo(name)
    found.type, found.linkname, found.size = kind, link, 1 if kind == tarfile.REGTYPE else 0
    return found


SLIPS = {
    "above": [member("../slipped")],
    "absolute": [member("FOLDER/slipped")],
    "by a link": [member("way", tarfile.SYMTYPE, "FOLDER"), member("way/slipped")],
    "by a link of a link": [member("a", tarfile.SYMTYPE, "."), member("b", tarfile.SYMTYPE, "a/.."), member("b/slipped")],
    "by a hard link": [member("slipped", tarfile.LNKTYPE, "FOLDER/pilot.json")],
    "by a device": [member("slipped", tarfile.CHRTYPE)],
    "by a pipe": [member("slipped", tarfile.FIFOTYPE)],
}


@attack("payload", "slips out of its input sandbox")
@pytest.mark.parametrize("slip", SLIPS)
def test_an_input_sandbox_that_leads_out_is_refused(victim: Victim, slip: str) -> None:
    """An archive has members that lie, by name or by link, outside: the job fails, and nothing is outside."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w:gz", format=tarfile.GNU_FORMAT) as archive:
        for each in SLIPS[slip]:
            each.name = each.name.replace("FOLDER", str(victim.folder))
            each.linkname = each.linkname.replace("FOLDER", str(victim.folder))
            archive.addfile(each, io.BytesIO(b"x"))
    pilot = victim.start("none", "--max-jobs", "1")
    before = sorted(victim.folder.iterdir())
    report = last(victim.services, victim.jobs.add("/bin/true", input=victim.store.keep(raw.getvalue())))
    assert (report["state"], report["minor_status"]) == ("Failed", "Failed Downloading InputSandbox")
    assert pilot.wait(30) == 0
    assert sorted(victim.folder.iterdir()) == before
    assert list(victim.workdir.rglob("slipped")) == []


@attack("payload", "names a standard output elsewhere")
@pytest.mark.parametrize("attribute", ["StdOutput", "StdError"])
def test_a_standard_output_elsewhere_is_refused(victim: Victim, attribute: str) -> None:
    """A job's description has ../x, or an absolute path, for its output: it fails before it runs, and no file is made."""
    pilot = victim.start("none", "--max-jobs", "4")
    for name in ("../x", "../../x", str(victim.folder / "x"), "a/../../x"):
        described: dict[str, Any] = {attribute: name}
        report = last(victim.services, victim.jobs.add("/bin/echo", "hi", **described))
        assert (report["state"], report["minor_status"]) == ("Failed", "Job Initialization")
    assert pilot.wait(30) == 0
    assert list(victim.folder.rglob("x")) == []


@attack("user", "puts shell commands into arguments")
@every_level
def test_arguments_run_no_shell(victim: Victim, level: str) -> None:
    """Arguments have quotes, pipes and substitutions: the program gets them as they are, and nothing else is run."""
    victim.start(level)
    arguments = "a;touch b `touch c` $(touch d) | tee e > f && 'g h' $HOME *"
    job = victim.jobs.add("/bin/echo", arguments, OutputSandbox=["*"])
    victim.report = last(victim.services, job)
    assert text_of(victim.services, job, "std.out") == [arguments.replace("'", "")]
    assert set(uploaded(victim)) == {"std.out", "std.err"}
