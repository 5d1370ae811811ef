"""Room on the disk: the bus must say "full" before the disk is, because a full disk ends JetStream for good."""

import shutil
from pathlib import Path

from pydantic import ByteSize

from holdfast.domain.streams import StreamsConfig
from holdfast.errors import ErrorCode, RejectedInput

SHARE = 0.9  # of what is free


def room_for(store: Path) -> int:
    """Return the bytes that JetStream may use: what it has, and most of what is free."""
    there = next(place for place in (store, *store.parents) if place.exists())
    used = sum(file.stat().st_size for file in store.rglob("*") if file.is_file()) if store.is_dir() else 0
    return used + int(shutil.disk_usage(there).free * SHARE)


def check_room(store: Path, streams: StreamsConfig) -> None:
    """Raise RejectedInput where the streams may grow past the disk; JetStream reserves their limits."""
    room = room_for(store)
    sizes = [each.max_bytes for each in streams.of_events.values()]
    sizes += [streams.dead_letters.max_bytes, streams.unmatched.max_bytes, streams.rejected.max_bytes]
    sizes.append(streams.audit.max_bytes)
    needed = sum(sizes) + streams.bodies.max_bytes
    if needed > room:
        raise RejectedInput(
            ErrorCode.CONFIG_INVALID,
            f"the streams may take {ByteSize(needed).human_readable()}, and the disk of {store.parent.parent} has room"
            f" for {ByteSize(room).human_readable()}; lower bus.streams.….max_bytes, or choose another --data-dir",
        )
