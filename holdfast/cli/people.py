"""Who sits at this terminal, for the record of what people do."""

import getpass
import platform


def me() -> str:
    """Return `user@host`."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError):
        user = "unknown"
    return f"{user}@{platform.node() or 'unknown'}"
