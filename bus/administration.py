"""The broker's administration, as far as this house needs it: to close connections, and to let an account in no more.

A token's holder has no account at the broker. One that is shut out is given one: without a password, without a right, and
with a limit of no connections, which the broker applies to whoever logs in under this name by whatever token.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any
from urllib.parse import quote

import requests

from bus.errors import Later

WITHIN_S = 10
SHUT_OUT = "pilotbus-shut-out"
MOST_AT_ONCE = 1_000


class Administration:
    """RabbitMQ's HTTP API over TLS, with a token made for each call."""

    def __init__(self, url: str, ca_file: str, token: Callable[[], str]) -> None:
        self._url, self._ca_file, self._token = url.rstrip("/"), ca_file, token

    def shut_out(self, accounts: Sequence[str], reason: str = "banned") -> None:
        """These are not connected, and can not connect. Raises Later when the broker does not answer."""
        if not accounts:
            return
        with requests.Session() as session:
            users = self._users(session)
            strangers = [_blocked(account) for account in accounts if account not in users]
            for some in _pages(strangers):
                # an import, because a site has thousands of pilots; it would take the password of who is there already
                self._call(session, "POST", "definitions", {"users": some})
            for account in accounts:
                if account in users and SHUT_OUT not in users[account]:
                    self._call(session, "PUT", f"user-limits/{quote(account, safe='')}/max-connections", {"value": 0})
            for account in accounts:
                # by account and not by name: the broker knows a connection by its name only after some seconds
                path = f"connections/username/{quote(account, safe='')}"
                self._call(session, "DELETE", path, missing=True, reason=reason)

    def let_in(self, accounts: Sequence[str]) -> None:
        """These may connect, as far as their rights go. Raises Later when the broker does not answer."""
        if not accounts:
            return
        with requests.Session() as session:
            users = self._users(session)
            known = [account for account in accounts if account in users]
            for some in _pages([account for account in known if SHUT_OUT in users[account]]):
                self._call(session, "POST", "users/bulk-delete", {"users": some})
            for account in known:
                if SHUT_OUT not in users[account]:
                    path = f"user-limits/{quote(account, safe='')}/max-connections"
                    self._call(session, "DELETE", path, missing=True)

    def get(self, path: str) -> Any:
        """What the broker says of a path of its API. Raises Later."""
        with requests.Session() as session:
            return self._call(session, "GET", path)

    def _users(self, session: requests.Session) -> dict[str, Sequence[str]]:
        """The accounts that the broker has, with their tags."""
        return {user["name"]: user["tags"] for user in self._call(session, "GET", "users?columns=name,tags")}

    def _call(
        self, session: requests.Session, method: str, path: str, body: Any = None, *, missing: bool = False, reason: str = ""
    ) -> Any:
        """The answer, or None for what is not there when that may be."""
        headers = {"X-Reason": reason.encode("ascii", "replace").decode()[:200]} if reason else {}
        try:
            answer = session.request(
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


def _blocked(account: str) -> dict[str, Any]:
    return {"name": account, "password_hash": "", "tags": SHUT_OUT, "limits": {"max-connections": 0}}


def _pages(items: Sequence[Any]) -> Iterator[Sequence[Any]]:
    return (items[start : start + MOST_AT_ONCE] for start in range(0, len(items), MOST_AT_ONCE))


class NoAdministration:
    """What stands where no administration is set: a ban then holds at the gate alone."""

    def shut_out(self, accounts: Sequence[str], reason: str = "banned") -> None:
        """Nothing is closed."""

    def let_in(self, accounts: Sequence[str]) -> None:
        """Nothing was closed."""
