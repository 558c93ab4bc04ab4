"""The pilot as a director sends it: one shell script that proves what it carries before the first line of that runs."""

from __future__ import annotations

import base64
import hashlib
import os
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from bus.errors import Invalid
from pilot import VERSION

_ALGORITHM = ec.ECDSA(hashes.SHA256())
_BLOCK = re.compile(
    r"^cat >\"\$work/(?P<name>\w+)\" <<'END_OF_PILOTBUS_FILE'\n(?P<text>.*?)^END_OF_PILOTBUS_FILE$", re.DOTALL | re.MULTILINE
)
_ZIP = "__PILOTBUS_ZIP__"
_MOMENT = "%Y%m%d%H%M%S"

_SCRIPT = r"""#!/bin/sh
# A pilot of pilotbus {version}. It checks its signature, its digest and its dates before anything of it runs.
set -u
umask 077
unset OPENSSL_CONF OPENSSL_MODULES
# one function, so that a script that was cut off runs nothing
main() {{
refuse() {{
    echo "pilot wrapper: $1" >&2
    exit "$2"
}}
[ -r "$0" ] || refuse "run it as a file: it reads the pilot from its own end" 20
work=$(mktemp -d "${{TMPDIR:-/tmp}}/pilotbus.XXXXXXXX") || refuse "no temporary directory can be made" 20
child=
trap 'rm -rf "$work"' EXIT
trap '[ -z "$child" ] && exit 143; kill -TERM "$child" 2>/dev/null' TERM
trap '[ -z "$child" ] && exit 130; kill -INT "$child" 2>/dev/null' INT
trap '[ -z "$child" ] && exit 129; kill -TERM "$child" 2>/dev/null' HUP
{blocks}
printf '%s\n' "${{PILOTBUS_LEAST_VERSION:-}}" | grep -Eq '^([0-9]+(\.[0-9]+)*)?$' ||
    refuse "PILOTBUS_LEAST_VERSION is no version, such as 2026.1.0" 25
told() {{ sed -n "s/^$1=//p" "$work/manifest"; }}
older() {{ [ "$1" != "$2" ] && [ "$(printf '%s\n%s\n' "$1" "$2" | sort -t. -k1,1n -k2,2n -k3,3n | head -n 1)" = "$1" ]; }}

command -v openssl >/dev/null 2>&1 || refuse "there is no openssl on this node, so the signature can not be checked" 21
key=${{PILOTBUS_PILOT_PUBLIC_KEY:-$work/key}}
openssl base64 -d -A -in "$work/signature" -out "$work/signature.bin" 2>/dev/null
openssl dgst -sha256 -verify "$key" -signature "$work/signature.bin" "$work/manifest" >/dev/null 2>&1 ||
    refuse "the signature is not of the key that is trusted here" 22
sed '1,/^{zip}$/d' "$0" | openssl base64 -d -out "$work/pilot.pyz" 2>/dev/null
digest=$(openssl dgst -sha256 -r "$work/pilot.pyz" | cut -d ' ' -f 1)
[ "$digest" = "$(told sha256)" ] || refuse "the pilot is not the one that was signed: its SHA-256 is $digest" 23
[ "$(date -u +%Y%m%d%H%M%S)" -lt "$(told expires)" ] || refuse "it has expired, at $(told expires) UTC" 24
for least in "$(told least_version)" "${{PILOTBUS_LEAST_VERSION:-}}"; do
    [ -z "$least" ] || ! older "$(told version)" "$least" ||
        refuse "it is $(told version), and $least is the oldest that may start" 25
done
python=
for candidate in python3 python3.13 python3.12 python3.11 python3.10 python3.9 /usr/bin/python3 \
    /cvmfs/dirac.egi.eu/dirac/pro/Linux-x86_64/bin/python3 /cvmfs/lhcb.cern.ch/lhcbdirac/prod/Linux-x86_64/bin/python3; do
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 9))' >/dev/null 2>&1; then
        python=$candidate
        break
    fi
done
[ -n "$python" ] || refuse "there is no Python of version 3.9 or newer on this node" 26

[ ! -s "$work/secret" ] || set -- --secret-file "$work/secret" "$@"
[ ! -s "$work/ca" ] || set -- --ca "$work/ca" "$@"
"$python" -I "$work/pilot.pyz" {flags} "$@" &
child=$!
code=0
wait "$child" || code=$?
# a signal ends the waiting, not the pilot
while kill -0 "$child" 2>/dev/null; do
    code=0
    wait "$child" || code=$?
done
exit "$code"
}}
main "$@"
{zip}
"""


@dataclass(frozen=True, slots=True)
class Contents:
    """What a wrapper says of itself, all of it proven."""

    version: str
    sha256: str
    expires: str
    least_version: str
    key_sha256: str


class ReleaseKey:
    """The key by which pilots are signed: a P-256 key in a file for its owner only, made when it is first wanted."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = folder / "release.pem"
        if not path.exists():
            made = ec.generate_private_key(ec.SECP256R1())
            form = serialization.PrivateFormat.PKCS8
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "wb") as file:
                file.write(made.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()))
        key = serialization.load_pem_private_key(path.read_bytes(), None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise Invalid(f"{path} is no key of an elliptic curve")
        self._key = key

    def sign(self, text: str) -> str:
        """The signature of these bytes, in base64."""
        return base64.b64encode(self._key.sign(text.encode(), _ALGORITHM)).decode()

    def public(self) -> str:
        """The public key in PEM."""
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        return self._key.public_key().public_bytes(serialization.Encoding.PEM, form).decode()


def wrap(
    archive: bytes,
    key: ReleaseKey,
    *,
    addresses: dict[str, str],
    ca: str = "",
    secret: str = "",
    lives: timedelta = timedelta(days=1),
    version: str = VERSION,
    least_version: str = VERSION,
) -> str:
    """The script that carries this zip; `addresses` are flags of the pilot and their values. Raises Invalid."""
    if "END_OF_PILOTBUS_FILE" in ca + secret:
        raise Invalid("the authority or the secret holds what ends a block of the wrapper")
    for value in addresses.values():
        if not re.fullmatch(r"[A-Za-z0-9._:/%?=&@,-]*", value):
            raise Invalid(f"{value!r} can not be put into a shell script")
    expires = (datetime.now(UTC) + lives).strftime(_MOMENT)
    digest = hashlib.sha256(archive).hexdigest()
    flags = " ".join(f"{flag} '{value}'" for flag, value in addresses.items() if value)

    def script(manifest: str, signature: str) -> str:
        blocks = {"manifest": manifest, "signature": signature, "key": key.public(), "ca": ca, "secret": secret}
        text = "".join(_block(name, content) for name, content in blocks.items())
        return _SCRIPT.format(version=version, blocks=text, zip=_ZIP, flags=flags)

    manifest = f"version={version}\nsha256={digest}\nexpires={expires}\nleast_version={least_version}\n"
    manifest += f"program={_program(script('', ''))}\n"
    return script(manifest, key.sign(manifest)) + base64.encodebytes(archive).decode()


def _program(script: str) -> str:
    """The digest of all that is neither the manifest, nor its signature, nor the zip: the shell's lines and the addresses."""
    head = script.partition(f"\n{_ZIP}\n")[0]
    kept = _BLOCK.sub(lambda block: "" if block["name"] in ("manifest", "signature") else block[0], head)
    return hashlib.sha256(kept.encode()).hexdigest()


def verify(script: str, trusted: str = "") -> Contents:
    """What the script carries, if it is what was signed, by the trusted key if one is given, and is in time. Raises Invalid."""
    head, found, tail = script.partition(f"\n{_ZIP}\n")
    blocks = {match["name"]: match["text"] for match in _BLOCK.finditer(head)}
    if not found or not {"manifest", "signature", "key"} <= set(blocks):
        raise Invalid("this is no wrapper of a pilot")
    public = (trusted or blocks["key"]).encode()
    try:
        key = serialization.load_pem_public_key(public)
        if not isinstance(key, ec.EllipticCurvePublicKey):
            raise Invalid("the key is none of an elliptic curve")
        key.verify(base64.b64decode(blocks["signature"]), blocks["manifest"].encode(), _ALGORITHM)
        archive = base64.b64decode(tail)
    except InvalidSignature as problem:
        raise Invalid("the signature is not of the key that is trusted here") from problem
    except ValueError as problem:
        raise Invalid(f"this is no wrapper of a pilot: {problem}") from problem
    told = dict(line.split("=", 1) for line in blocks["manifest"].splitlines())
    digest = hashlib.sha256(archive).hexdigest()
    if digest != told["sha256"]:
        raise Invalid(f"the pilot is not the one that was signed: its SHA-256 is {digest}")
    if _program(script) != told["program"]:
        raise Invalid("the lines around the pilot are not those that were signed")
    if datetime.now(UTC).strftime(_MOMENT) >= told["expires"]:
        raise Invalid(f"it has expired, at {told['expires']} UTC")
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    fingerprint = hashlib.sha256(key.public_bytes(serialization.Encoding.DER, form)).hexdigest()
    return Contents(told["version"], digest, told["expires"], told["least_version"], fingerprint)


def _block(name: str, text: str) -> str:
    end = "" if not text or text.endswith("\n") else "\n"
    return f"cat >\"$work/{name}\" <<'END_OF_PILOTBUS_FILE'\n{text}{end}END_OF_PILOTBUS_FILE\n"
