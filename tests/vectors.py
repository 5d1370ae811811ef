"""The published signature vectors, as tests need them."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.conftest import SHARED

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def vectors() -> list[dict[str, Any]]:
    """Return every vector that can be decided offline; skips the test where they are not on this machine."""
    file = SHARED / "signature_vectors.json"
    if not file.exists():
        pytest.skip(f"the public signature vectors are not at {SHARED}")
    return [vector for vector in json.loads(file.read_text()) if not vector.get("incomplete")]
