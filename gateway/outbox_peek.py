"""Looks whether an event lies in an outbox, from beside: read-only, in any process that may read the file.

Flow: `GET /events/…`, `holdfast events show` → **peek** → the file that `outbox_file.py` writes.
"""

import contextlib
import sqlite3
from pathlib import Path
from urllib.parse import quote

from holdfast.domain.events import Envelope, decode_envelope
from holdfast.errors import RejectedInput

BUSY_WITHIN = 0.25  # s


def peek(file: Path, source: str, event_id: str) -> Envelope | None:
    """Return the event, or None: it is not there, or the file cannot be read. Blocks for the disk."""
    if not file.exists():
        return None
    try:
        address = f"file:{quote(str(file))}?mode=ro"
        with contextlib.closing(sqlite3.connect(address, timeout=BUSY_WITHIN, uri=True)) as db:
            query = "SELECT record FROM outbox WHERE source = ? AND event_id = ?"
            row = db.execute(query, (source, event_id)).fetchone()
        return decode_envelope(bytes(row[0])) if row is not None else None
    except (sqlite3.Error, RejectedInput, OSError):
        return None
