"""References to secrets (`env:NAME`, `file:PATH`): the only form in which a secret stands in a configuration.

A reference is safe in files, logs and workflow histories; `holdfast/settings/secrets.py` reads what it points to.
"""

import re
from typing import Annotated

from pydantic import AfterValidator

_REFERENCE = re.compile(r"(env:[A-Za-z_][A-Za-z0-9_]*|file:.+)")


def is_reference(value: str) -> bool:
    """Whether `value` points to a secret."""
    return _REFERENCE.fullmatch(value) is not None


def _must_refer(value: str) -> str:
    if not is_reference(value):
        # the value itself is not shown: it may well be the secret
        raise ValueError("a secret is given as env:NAME or file:PATH, never written into the configuration")
    return value


SecretRef = Annotated[str, AfterValidator(_must_refer)]
