"""The broker's administration, as far as this house needs it: to close connections, and to let an account in no more.

A token's holder has no account at the broker. One that is shut out is given one: without a password, without a right, and
with a limit of no connections, which the broker applies to whoever logs in under this name by whatever token.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import quote

import requests

from bus.errors import Later

WITHIN_S = 10
SHUT_OUT = "pilotbus-shut-out"


class Administration:
    """RabbitMQ's HTTP API over TLS, with a token made for each call."""

    def __init__(self, url: str, ca_file: str, token: Callable[[], str]) -> None:
        self._url, self._ca_file, self._token = url.rstrip("/"), ca_file, token

    def shut_out(self, accounts: Sequence[str], reason: str = "banned") -> None:
        """These are not connected, and can not connect. Raises Later when the broker does not answer."""
        for account in accounts:
            name = quote(account, safe="")
            if self._call("GET", f"users/{name}", missing=True) is None:
                self._call("PUT", f"users/{name}", {"password_hash": "", "tags": SHUT_OUT})
            self._call("PUT", f"user-limits/{name}/max-connections", {"value": 0})
            # by account and not by name: the broker knows a connection by its name only after some seconds
            self._call("DELETE", f"connections/username/{name}", missing=True, reason=reason)

    def let_in(self, accounts: Sequence[str]) -> None:
        """These may connect, as far as their rights go. Raises Later when the broker does not answer."""
        for account in accounts:
            name = quote(account, safe="")
            known = self._call("GET", f"users/{name}", missing=True)
            if known is not None and SHUT_OUT in known["tags"]:
                self._call("DELETE", f"users/{name}", missing=True)
            elif known is not None:
                self._call("DELETE", f"user-limits/{name}/max-connections", missing=True)

    def get(self, path: str) -> Any:
        """What the broker says of a path of its API. Raises Later."""
        return self._call("GET", path)

    def _call(self, method: str, path: str, body: Any = None, *, missing: bool = False, reason: str = "") -> Any:
        """The answer, or None for what is not there when that may be."""
        headers = {"X-Reason": reason.encode("ascii", "replace").decode()[:200]} if reason else {}
        try:
            answer = requests.request(
                method,
                f"{self._url}/api/{path}",
                json=body,
                headers=headers,
                auth=("-", self._token()),
                verify=self._ca_file or True,
                timeout=WITHIN_S,
            )
            if answer.status_code == 404 and missing:
                return None
            answer.raise_for_status()
            return answer.json() if answer.content else None
        except (requests.RequestException, ValueError) as problem:
            raise Later(
                f"the broker's administration does not do {method} {path.split('/', maxsplit=1)[0]}: {problem}"
            ) from problem


class NoAdministration:
    """What stands where no administration is set: a ban then holds at the gate alone."""

    def shut_out(self, accounts: Sequence[str], reason: str = "banned") -> None:
        """Nothing is closed."""

    def let_in(self, accounts: Sequence[str]) -> None:
        """Nothing was closed."""
