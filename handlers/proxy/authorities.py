"""Whom this house trusts to say who somebody is: a folder of authorities and revocation lists, judged by the openssl program.

Paths are not validated by hand here, because that is how holes are made.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from cryptography import x509

from handlers.proxy.keys import Unacceptable
from handlers.proxy.x509 import chain_pem

_WITHIN_S = 20
_SAID = re.compile(r"error \d+ at \d+ depth lookup: (.+)")
_RULES = ("-allow_proxy_certs", "-purpose", "sslclient", "-auth_level", "2", "-no-CAfile", "-no-CAstore")


class NotReady(Exception):
    """The house can not judge or keep proxies now; one sentence says what is missing."""


class Authorities:
    """Authorities as `<hash>.0` and revocation lists as `<hash>.r0`, in the folder's form at the moment of asking."""

    def __init__(self, folder: str, *, crls_required: bool = True) -> None:
        """Without `crls_required` a folder without any revocation list is trusted too; with the first, all are needed."""
        self._named, self._folder, self._crls_required = bool(folder), Path(folder), crls_required

    def judge(self, chain: list[x509.Certificate]) -> None:
        """The chain leads to an authority of the folder and nothing of it is revoked. Raises Unacceptable or NotReady."""
        if not self._named or not self._folder.is_dir() or not any(self._folder.glob("*.[0-9]")):
            raise NotReady("this house trusts no authority for users' certificates: PILOTBUS_USER_CA_DIR names no folder of them")
        program = shutil.which("openssl")
        if program is None:
            raise NotReady("the program openssl is not installed here, and without it no chain is trusted")
        lists = ("-crl_check_all",) if self._crls_required or any(self._folder.glob("*.r[0-9]*")) else ()
        with tempfile.TemporaryDirectory(prefix="pilotbus-chain-") as place:
            newest, others = Path(place) / "newest.pem", Path(place) / "others.pem"
            newest.write_text(chain_pem(chain[:1]), encoding="ascii")
            others.write_text(chain_pem(chain[1:]), encoding="ascii")
            untrusted = ("-untrusted", str(others)) if chain[1:] else ()
            command = [program, "verify", *_RULES, *lists, "-CApath", str(self._folder), *untrusted, str(newest)]
            try:
                # no environment: a variable of openssl's must not change what is trusted
                done = subprocess.run(
                    command, capture_output=True, text=True, timeout=_WITHIN_S, check=False, env={"LC_ALL": "C"}
                )
            except (OSError, subprocess.TimeoutExpired) as problem:
                raise NotReady(f"the program openssl could not judge the chain: {type(problem).__name__}") from problem
        if done.returncode or done.stdout.strip() != f"{newest}: OK":
            reasons = _SAID.findall(done.stderr + done.stdout)
            raise Unacceptable(f"the chain is not trusted: {reasons[0] if reasons else 'openssl verify says no'}")
