"""Registers: small values on the bus that are compared and set, in key-value buckets that `nats kv` reads.

`holdfast-controls` holds what people have paused, `holdfast-lanes` the state of rates, places and circuit breakers.
Flow: ensure → **read** → **write**.
"""

import json
from datetime import timedelta

from nats.js import api

from holdfast.bus.connect import Bus
from holdfast.bus.errors import classify, of_api_error
from holdfast.bus.lookup import last_of
from holdfast.bus.requests import Requests
from holdfast.bus.streams import EXPECTED_STREAM
from holdfast.errors import ErrorCode, Unavailable

CONTROLS = "holdfast-controls"
LANES = "holdfast-lanes"
CALL = timedelta(seconds=3)
MAX_VALUE = 1_048_576  # bytes
_CHANGED = frozenset({10071, 10164})


async def ensure_registers(bus: Bus, replicas: int) -> None:
    """Create both buckets where they are missing. Raises Unavailable."""
    for bucket in (CONTROLS, LANES):
        config = api.KeyValueConfig(
            bucket=bucket,
            description="Holdfast: what is paused" if bucket == CONTROLS else "Holdfast: rates and circuit breakers",
            history=1,
            max_value_size=MAX_VALUE,
            storage=api.StorageType.FILE,
            replicas=replicas,
        )
        try:
            await bus.jetstream.key_value(bucket)
        except Exception:  # noqa: BLE001 - missing, or not to be read: creating it says which
            try:
                await bus.jetstream.create_key_value(config)
            except Exception as error:
                raise classify(error) from error


async def read_register(bus: Bus, bucket: str, key: str) -> tuple[bytes, int]:
    """Return a value and its revision; empty and 0 where there is none. Raises Unavailable."""
    found = await last_of(bus, f"KV_{bucket}", f"$KV.{bucket}.{key}")
    return (b"", 0) if found is None else (found.data, found.sequence)


async def write_register(bus: Bus, bucket: str, key: str, value: bytes, *, after: int) -> int | None:
    """Write where the last revision is `after`, and return the new one; None where it is not. Raises Unavailable."""
    headers = {"Nats-Expected-Last-Subject-Sequence": str(after), EXPECTED_STREAM: f"KV_{bucket}"}
    raw = await bus.part(Requests).request(f"$KV.{bucket}.{key}", value, headers, timeout=CALL)
    return _written(raw)


def _written(raw: bytes) -> int | None:
    """Read the reply to a write: the revision, or None where another write came before. Raises Unavailable."""
    try:
        reply = json.loads(raw)
    except (ValueError, RecursionError):
        reply = None
    if not isinstance(reply, dict):
        raise Unavailable(ErrorCode.BUS_UNAVAILABLE, "the bus answered with something that is no JSON object")
    error, revision = reply.get("error"), reply.get("seq")
    if error is None and isinstance(revision, int):
        return revision
    if not isinstance(error, dict):
        raise Unavailable(ErrorCode.BUS_UNAVAILABLE, "the reply is no acknowledgement of a bucket")
    if error.get("err_code") in _CHANGED:
        return None
    raise of_api_error(error.get("err_code"), error.get("code"), error.get("description"))
