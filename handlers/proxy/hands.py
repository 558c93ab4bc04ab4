"""What the handlers of this room reach outside the database: the vault's key, and whom the house trusts."""

from __future__ import annotations

from dataclasses import dataclass

from handlers.proxy.authorities import Authorities, NotReady
from handlers.proxy.keys import Unacceptable
from handlers.proxy.vault import Locked, Vault

REFUSALS = (Unacceptable, NotReady, Locked)


@dataclass(frozen=True, slots=True)
class Hands:
    """The vault and the authorities of this house."""

    vault: Vault
    authorities: Authorities


def code_of(problem: Exception) -> str:
    """The code of a refusal: what was sent is wrong, or the house can not do it."""
    return "invalid" if isinstance(problem, Unacceptable) else "unavailable"


def about_delegation(owner: str, delegation_id: str) -> str:
    """What a delegation's key is sealed for."""
    return f"delegation of {owner}: {delegation_id}"


def about_proxy(owner: str, fingerprint: str) -> str:
    """What a proxy is sealed for."""
    return f"proxy of {owner}: {fingerprint}"
