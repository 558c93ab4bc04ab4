"""Proxies of yours that the house keeps, so that your jobs can act in your name: upload one, list them, destroy them."""

from __future__ import annotations

import os
import stat
import uuid
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from deploy.verbs.common import NOT_FOUND, USAGE, Failure, Json, client, print_json, print_table, talk
from handlers.proxy.keys import Key, Unacceptable, read_key, read_request
from handlers.proxy.x509 import Chain, chain_pem, end_entity, read_chain, sign_proxy

app = typer.Typer(help=__doc__, no_args_is_help=True)
CERTIFICATE, KEY = Path("~/.globus/usercert.pem"), Path("~/.globus/userkey.pem")
DAYS = 7.0
Given = Annotated[Path | None, typer.Option(help="Your certificate, or a proxy file that holds its key too.")]
GivenKey = Annotated[Path | None, typer.Option(help="The key of --cert, where the file does not hold it.")]
Days = Annotated[float, typer.Option(help="How long it lasts at most; never longer than what signs it.", min=0.01, max=400)]


@app.command()
def upload(cert: Given = None, key: GivenKey = None, days: Days = DAYS, json: Json = False) -> None:  # noqa: FBT002
    """Leave a proxy with the house, signed here; your key stays here."""
    chain, signer = _signer(cert, key)
    with client("proxy") as bus:
        begun = bus.ask("proxy.delegate.v1", {"delegation_id": str(uuid.uuid4())})
        try:
            made = sign_proxy(chain, signer, read_request(begun["csr_pem"]), timedelta(days=days), limited=False)
        except Unacceptable as problem:
            raise Failure(str(problem), USAGE) from problem
        kept = bus.ask("proxy.deposit.v1", {"delegation_id": begun["delegation_id"], "chain_pem": chain_pem(made)})
    if json:
        print_json(kept)
    else:
        talk.print(f"a proxy of {kept['dn']} is kept until {kept['not_after']}", markup=False)


@app.command("list")
def list_(
    account: Annotated[str | None, typer.Option(help="Whose; operators only.")] = None,
    json: Json = False,  # noqa: FBT002 - an option of the command line
) -> None:
    """List the proxies that are kept for you."""
    with client("proxy") as bus:
        found = bus.ask("proxy.list.v1", {"account": account} if account else {})["proxies"]
    if json:
        print_json(found)
    else:
        names = ("dn", "not_after", "deposited_at", "last_handed_at", "fingerprint")
        rows = ([proxy.get(name, "") for name in names] for proxy in found)
        print_table(("Name", "Until", "Deposited", "Last handed out", "Fingerprint"), rows)


@app.command()
def destroy(
    fingerprint: Annotated[str | None, typer.Argument(help="As `pilotbus proxy list` shows it; all when absent.")] = None,
    json: Json = False,  # noqa: FBT002
) -> None:
    """Destroy the proxies that are kept for you."""
    with client("proxy") as bus:
        gone = bus.ask("proxy.destroy.v1", {"fingerprint": fingerprint} if fingerprint else {})["destroyed"]
    if json:
        print_json(gone)
    else:
        for proxy in gone:
            talk.print(f"the proxy of {proxy['dn']} is destroyed", markup=False)
    if not gone:
        raise Failure("no such proxy is kept for you", NOT_FOUND)


def files_of(cert: Path | None, key: Path | None) -> tuple[Path, Path]:
    """The certificate, or proxy, and its key: the files that are named, else $X509_USER_PROXY, ~/.globus, /tmp."""
    if cert is None and key is not None:
        raise Failure("--key goes with --cert", USAGE)
    if cert is not None:
        return cert.expanduser(), (key or cert).expanduser()
    if told := os.environ.get("X509_USER_PROXY"):
        return Path(told), Path(told)
    # before a proxy: what it signs lasts longer
    if CERTIFICATE.expanduser().exists():
        return CERTIFICATE.expanduser(), KEY.expanduser()
    usual = Path(f"/tmp/x509up_u{os.getuid()}")  # noqa: S108 - where grid tools put it
    if usual.exists():
        return usual, usual
    raise Failure(f"there is nothing to sign with: no {CERTIFICATE}, and no proxy in {usual}; name one by --cert", NOT_FOUND)


def _signer(cert: Path | None, key: Path | None) -> tuple[Chain, Key]:
    return _read(*files_of(cert, key))


def _read(cert: Path, key: Path) -> tuple[Chain, Key]:
    if stat.S_IMODE(key.stat().st_mode) & 0o077:
        raise Failure(f"{key}: others may read this key; `chmod 600` it", USAGE)
    try:
        chain = read_chain(cert.read_text(encoding="utf-8", errors="replace"))
        end_entity(chain)
    except Unacceptable as problem:
        raise Failure(f"{cert}: {problem}", USAGE) from problem
    pem = key.read_bytes()
    try:
        return chain, read_key(pem, _password(key) if b"ENCRYPTED" in pem else None)
    except Unacceptable as problem:
        raise Failure(f"{key}: {problem}", USAGE) from problem


def _password(key: Path) -> bytes:
    """Asked for on the terminal, and nowhere else."""
    if not os.isatty(0):
        raise Failure(f"{key}: the key has a password, and there is no terminal to ask for it", USAGE)
    word: str = typer.prompt(f"Password of {key}", hide_input=True, err=True)
    return word.encode()
