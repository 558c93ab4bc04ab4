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
_BLOCKS = ("manifest", "signature", "key", "ca", "secret", "zip")
_STRANGE = re.compile(r"[^\n\t\x20-\x7e]")
_BLOCK = re.compile(
    r"^cat >\"\$work/(?P<name>\w+)\" <<'END_OF_PILOTBUS_FILE'\n(?P<text>.*?)^END_OF_PILOTBUS_FILE$", re.DOTALL | re.MULTILINE
)
_MOMENT = "%Y%m%d%H%M%S"
_SCRIPT = Path(__file__).with_suffix(".sh")
_SECRET = re.compile(r"pbs1\.([A-Za-z0-9_-]{1,64})\.[A-Za-z0-9_-]{43}")
_PROVEN_ELSEWHERE = ("manifest", "signature", "zip")


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
    known = _SECRET.fullmatch(secret)
    # what the door knows of the secret anyway: by it a pilot that never starts is told from a stranger
    proof = hashlib.sha256(secret.encode()).hexdigest() if known else ""
    told = {"VERSION": version, "FLAGS": flags, "PROOF": proof, "PILOT": known[1] if known else ""}
    told["DOOR"] = addresses.get("--door", "").rstrip("/")

    def script(manifest: str, signature: str) -> str:
        blocks = {"manifest": manifest, "signature": signature, "key": key.public(), "ca": ca, "secret": secret}
        blocks["zip"] = base64.encodebytes(archive).decode()
        text = "".join(_block(name, content) for name, content in blocks.items()).rstrip("\n")
        filled = {**told, "BLOCKS": text}
        return re.sub(r"@([A-Z]+)@", lambda place: filled[place[1]], _SCRIPT.read_text(encoding="ascii"))

    manifest = f"version={version}\nsha256={digest}\nexpires={expires}\nleast_version={least_version}\n"
    manifest += f"program={_program(script('', ''))}\n"
    return script(manifest, key.sign(manifest))


def _program(script: str) -> str:
    """The digest of all that is neither the manifest, nor its signature, nor the zip: the shell's lines and the addresses."""
    kept = _BLOCK.sub(lambda block: f"@{block['name']}@\n" if block["name"] in _PROVEN_ELSEWHERE else block[0], script)
    return hashlib.sha256(kept.encode()).hexdigest()


def _plain(text: str) -> bytes:
    return base64.b64decode("".join(text.split()), validate=True)


def verify(script: str, trusted: str = "") -> Contents:
    """What the script carries, if it is what was signed, by the trusted key if one is given, and is in time. Raises Invalid."""
    if strange := _STRANGE.search(script):
        raise Invalid(f"it holds the character {strange[0]!r}, which a shell may read in another way")
    blocks = {match["name"]: match["text"] for match in _BLOCK.finditer(script)}
    if [match["name"] for match in _BLOCK.finditer(script)] != list(_BLOCKS):
        raise Invalid("this is no wrapper of a pilot: its blocks are not those that there have to be")
    public = (trusted or blocks["key"]).encode()
    try:
        key = serialization.load_pem_public_key(public)
        if not isinstance(key, ec.EllipticCurvePublicKey):
            raise Invalid("the key is none of an elliptic curve")
        key.verify(_plain(blocks["signature"]), blocks["manifest"].encode(), _ALGORITHM)
        archive = _plain(blocks["zip"])
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
