"""Who is at the keyboard, for the records of what is done by hand."""

import getpass
import platform


def me() -> str:
    """Return `user@host`, as far as it is known."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError):
        user = "unknown"
    return f"{user}@{platform.node() or 'unknown'}"
