"""Log in with your certificate, or a proxy made from it, and get a token: what every other verb then uses for some hours."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Annotated

import requests
import typer

from bus.account import token_file
from deploy.process import write_private
from deploy.verbs.common import DENIED, UNAVAILABLE, Failure, Json, door_settings, print_json, talk
from deploy.verbs.proxy import Given, GivenKey, files_of

PATIENCE_S = 30


def run(
    cert: Given = None,
    key: GivenKey = None,
    out: Annotated[
        Path | None, typer.Option(help="Where the token is kept; PILOTBUS_TOKEN_FILE names it to the other verbs.")
    ] = None,
    json: Json = False,  # noqa: FBT002 - an option of the command line
) -> None:
    """Log in and get a token."""
    settings = door_settings()
    shown = files_of(cert, key)
    kept = out or token_file()
    told = ask(settings.door_url, settings.ca_file, shown)
    kept.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_private(kept, told["token"])
    if json:
        print_json({"account": told["account"], "expires_at": told["expires_at"], "token_file": str(kept)})
    else:
        talk.print(f"you are {told['account']} until {told['expires_at']}; the token is in {kept}", markup=False)


def ask(door: str, ca_file: str, shown: tuple[Path, Path]) -> dict[str, str]:
    """What the door says to whoever shows this certificate. Raises Failure."""
    try:
        answer = requests.post(
            f"{door}/login",
            cert=(str(shown[0]), str(shown[1])),
            verify=ca_file or True,
            timeout=PATIENCE_S,
            allow_redirects=False,
        )
    except requests.exceptions.SSLError as problem:
        raise Failure(
            f"the door does not take {shown[0]}, or shows a certificate that is not trusted: {_why(problem)}", DENIED
        ) from problem
    except (requests.exceptions.RequestException, ssl.SSLError) as problem:
        raise Failure(f"the door at {door} does not answer", UNAVAILABLE) from problem
    try:
        told: dict[str, str] = answer.json()
    except ValueError as problem:
        raise Failure(f"the door answered {answer.status_code}, and nothing that is understood", UNAVAILABLE) from problem
    if answer.status_code >= 500 or answer.status_code == 429:
        raise Failure(str(told.get("reason", answer.status_code)), UNAVAILABLE)
    if not answer.ok:
        raise Failure(str(told.get("reason", answer.status_code)), DENIED)
    return told


def _why(problem: Exception) -> str:
    reason = getattr(problem.args[0], "reason", problem) if problem.args else problem
    return str(reason).split("] ")[-1].split(" (_ssl")[0]
