"""A broker and a database of its own for each process that tests, unless some are given."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from deploy.stack import RUN_DIRECTORY, read_settings

GIVEN = "PILOTBUS_AMQP_URL"
UP = b"up\n"


def pytest_configure(config: pytest.Config) -> None:
    """The settings of a stack are in the environment; it runs until this process ends, in whatever way."""
    worker = os.environ.get("PYTEST_XDIST_WORKER")
    spreads = config.getoption("numprocesses", None) and not worker
    if spreads or GIVEN in os.environ or config.option.collectonly:
        return
    name = f"test-{worker}" if worker else "test"
    # a session of its own: Ctrl-C ends the tests, and they still have their stack while they end
    keeper = subprocess.Popen(
        [sys.executable, "-m", "deploy.stack", "run", "--name", name, "--", "sh", "-c", "echo up; exec cat"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    if keeper.stdout is None or keeper.stdout.readline() != UP:
        raise pytest.UsageError(f"the stack {name} does not start")
    config.add_cleanup(lambda: keeper.communicate() and None)
    os.environ.update(read_settings(RUN_DIRECTORY / name / "services.env"))
