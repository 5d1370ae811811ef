"""An event as it lies in the outbox: its envelope as JSON, and behind a line's end a body that is stored apart.

Flow: spool → **join** → outbox → drain → **split** → object store → bus. JSON as we write it holds no line's end.
"""

_END = b"\n"


def join(envelope: bytes, body: bytes) -> bytes:
    """Return the record of an event with a large body."""
    return b"".join((envelope, _END, body))


def split(record: bytes) -> tuple[bytes, bytes | None]:
    """Return envelope and body; None where the body is in the envelope."""
    end = record.find(_END)
    return (record, None) if end < 0 else (record[:end], record[end + 1 :])
