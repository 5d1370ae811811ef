"""Which access tokens are valid in a process: those of holdfast.yaml, and the local one of the data directory.

The local token is made by `holdfast up`, so that the first five minutes need no set-up: the token in one file, for
people, its hash in another, for the processes; both readable by their owner only.
"""

from pathlib import Path

from pydantic import ValidationError

from holdfast.domain.access import Access, ApiConfig, TokenConfig

TOKEN_FILE = "api-token"  # noqa: S105 - its name, not its content
HASH_FILE = "api-token.json"
LOCAL = "local"
"""Name of the local token; a token of that name in holdfast.yaml comes before it."""


def load_access(config: ApiConfig, data_dir: Path) -> Access:
    """Return who may ask. A hash file that cannot be read lets nobody in."""
    tokens = dict(config.tokens)
    try:
        local = TokenConfig.model_validate_json((data_dir / HASH_FILE).read_bytes())
    except (OSError, ValidationError):
        return Access(tokens)
    return Access({LOCAL: local, **tokens})
