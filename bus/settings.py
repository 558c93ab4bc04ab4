"""What a process must be told: the only reader of the environment in services."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from urllib.parse import unquote, urlsplit

from schemas.rules.secrets import remember


@dataclass(frozen=True, slots=True)
class Settings:
    """One process's settings; each field is the environment variable PILOTBUS_<FIELD>. Secrets are never printed."""

    amqp_url: str = field(default="", repr=False)
    dsn: str = field(default="", repr=False)
    ca_file: str = ""
    management_url: str = ""
    events_vhost: str = ""
    door_url: str = ""
    issuer_dir: str = ""
    release_dir: str = ""
    user_ca_dir: str = ""
    client_amqp_url: str = field(default="", repr=False)
    pilot_amqp_url: str = field(default="", repr=False)
    operators: str = ""
    development: str = ""
    rate_per_s: str = "200"
    rate_burst: str = "2000"
    extensions: str = ""
    handlers: str = ""
    sandbox_dir: str = ""
    sandbox_url: str = ""
    sandbox_secret: str = field(default="", repr=False)
    sandbox_limit_mb: str = "10"
    sandbox_store_limit_mb: str = "10240"
    s3_endpoint: str = ""
    s3_bucket: str = ""
    http_bind: str = ""
    tls_cert: str = ""
    tls_key: str = ""
    vault_key_file: str = ""
    crls_required: str = "yes"
    log_keep_days: str = "30"
    share_policy: str = ""
    share_shadow: str = ""
    why_keep_days: str = "7"
    done_keep_days: str = "7"
    failed_keep_days: str = "7"
    killed_keep_days: str = "7"
    deleted_keep_days: str = "1"
    sandbox_keep_days: str = "15"

    @property
    def houses(self) -> list[Path]:
        """The extension folders, in the order given."""
        return [Path(part) for part in self.extensions.split(":") if part]

    @property
    def operator_accounts(self) -> frozenset[str]:
        """The accounts that may say what an operator says."""
        return frozenset(part.strip() for part in self.operators.split(",") if part.strip())


def settings(environment: Mapping[str, str] | None = None) -> Settings:
    """The settings of this process."""
    found = os.environ if environment is None else environment
    made = Settings(**{name: found[key] for name in Settings.__slots__ if (key := f"PILOTBUS_{name.upper()}") in found})
    for one in fields(made):
        if not one.repr:
            remember(_secret_of(str(getattr(made, one.name))))
    return made


def _secret_of(value: str) -> str:
    """Of an address only the password, of anything else all."""
    try:
        return unquote(urlsplit(value).password or "") if "://" in value else value
    except ValueError:
        return value  # no address after all
