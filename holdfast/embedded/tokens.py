"""Making access tokens: 256 random bits, printed once; and the local one that `holdfast up` keeps in its directory."""

import base64
import secrets
from pathlib import Path

from holdfast.domain.access import PREFIX, Scope, TokenConfig, hash_of
from holdfast.embedded.files import write_private
from holdfast.settings.access import HASH_FILE, TOKEN_FILE

BYTES = 32


def new_token() -> str:
    """Return a new token: `hf_` and 43 characters."""
    return PREFIX + base64.urlsafe_b64encode(secrets.token_bytes(BYTES)).decode().rstrip("=")


def local_token(data_dir: Path) -> Path:
    """Make the local admin token of a data directory, or keep the one that is there; return the file that holds it."""
    file = data_dir / TOKEN_FILE
    try:
        token = file.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        token = ""
    if not token.startswith(PREFIX) or len(token) < len(PREFIX) + 40:
        token = new_token()
        write_private(file, token + "\n")
    known = TokenConfig(scope=Scope.ADMIN, hash=hash_of(token))
    write_private(data_dir / HASH_FILE, known.model_dump_json(indent=2) + "\n")
    return file
