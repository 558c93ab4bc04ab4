"""The commands `pilotbus` and `publish-event`: find the verb, parse, call, and turn every failure into one sentence and a code.

Data goes to standard output, talk to standard error.
"""

from __future__ import annotations

import functools
import importlib
import sys
from collections.abc import Callable
from typing import Any

import typer

from bus.errors import Invalid, Mismatch, Refused, Unavailable, Unroutable
from bus.sandbox import SandboxError
from deploy.verbs.common import (
    CODES,
    CONFLICT,
    JOBS_FAILED,
    NOT_FOUND,
    UNAVAILABLE,
    USAGE,
    Failure,
)
from schemas.rules.secrets import scrub

VERBS = (
    "submit", "status", "jobs", "job", "groups", "wait", "output", "logs", "peek", "why", "kill", "reschedule", "delete",
    "subscribe", "publish_event",
    "login", "whoami", "users", "limits", "shares", "proxy", "ban", "unban", "security", "who_ran",
    "pilots", "drain", "stop", "log_level", "pilot", "pilot_wrapper", "pilot_verify", "keys",
    "parking", "graph", "up", "down", "ps", "run",
)  # fmt: skip


def application() -> typer.Typer:
    """The command line with every verb; each is a file of deploy/verbs."""
    app = typer.Typer(
        name="pilotbus",
        help="Submit jobs, follow them, and run the system that carries them.",
        no_args_is_help=True,
        add_completion=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    for name in VERBS:
        module = importlib.import_module(f"deploy.verbs.{name}")
        if hasattr(module, "app"):
            app.add_typer(module.app, name=name.replace("_", "-"))
        else:
            app.command(name.replace("_", "-"), help=module.__doc__)(module.run)
    return app


def guarded(call: Callable[[], Any], name: str = "pilotbus") -> int:
    """The exit code of a call; what went wrong is one sentence on standard error, in the command's name."""
    say = functools.partial(_say, name)
    try:
        result = call()
    except Failure as problem:
        return say(problem, problem.code)
    except (Invalid, Unroutable) as problem:
        return say(problem, USAGE)
    except Refused as problem:
        return say(problem, CODES.get(problem.code, JOBS_FAILED))
    except Mismatch as problem:
        return say(problem, CONFLICT)
    except (Unavailable, SandboxError) as problem:
        return say(problem, UNAVAILABLE)
    except UnicodeDecodeError as problem:
        return say(f"what was read is no text in UTF-8 (byte {problem.start})", USAGE)
    except FileNotFoundError as problem:
        return say(f"there is no file {problem.filename}", NOT_FOUND)
    except OSError as problem:
        return say(f"{problem.filename or 'the system'}: {problem.strerror or problem}", UNAVAILABLE)
    except SystemExit as problem:
        if isinstance(problem.__context__, BrokenPipeError):
            return 0  # the reader has seen enough
        return problem.code if isinstance(problem.code, int) else USAGE
    except KeyboardInterrupt:
        return 130
    return result if isinstance(result, int) else 0


def _say(name: str, problem: object, code: int) -> int:
    sys.stderr.write(f"{name}: {scrub(str(problem))}\n")
    return code


def serve(app: typer.Typer, arguments: list[str], name: str = "pilotbus") -> int:
    """The exit code of a command line with these arguments."""
    command = typer.main.get_command(app)
    code = guarded(lambda: command.main(args=arguments, prog_name=name), name)
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        sys.stderr.close()  # the reader has seen enough
    return code


def main() -> None:
    """`pilotbus VERB …`"""
    sys.exit(serve(application(), sys.argv[1:]))


def publish_event() -> None:
    """`publish-event TYPE …`, the same as `pilotbus publish-event`."""
    sys.exit(serve(application(), ["publish-event", *sys.argv[1:]]))


if __name__ == "__main__":
    main()
