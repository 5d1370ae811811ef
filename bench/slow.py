"""Clients that are slow on purpose: `python -m bench.slow PORT HEADERS BODIES SECONDS` prints what became of them.

HEADERS connections drip the bytes of a head that never ends, BODIES those of an announced body. Who is cut off comes
again at once, so the pressure stays.
"""

import asyncio
import json
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

EVERY = 0.5  # s between two bytes
HEAD = b"POST /hooks/github HTTP/1.1\r\nHost: x\r\nX-Drip: "
BODY = b"POST /hooks/github HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n"


@dataclass
class Fates:
    """What became of the connections of one kind."""

    opened: int = 0
    refused: int = 0  # no connection at all
    lived: list[float] = field(default_factory=list)  # s, of those that the gateway ended
    answers: Counter[str] = field(default_factory=Counter)

    def show(self) -> dict[str, Any]:
        """As plain data."""
        longest = round(max(self.lived, default=0.0), 2)
        return {
            "opened": self.opened,
            "refused": self.refused,
            "ended": len(self.lived),
            "longest": longest,
            "answers": self.answers,
        }


async def _drip(port: int, start: bytes, fates: Fates) -> None:
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        fates.refused += 1
        await asyncio.sleep(EVERY)
        return
    fates.opened += 1
    began, ended = time.monotonic(), asyncio.create_task(_answer(reader))
    try:
        writer.write(start)
        while not ended.done():
            await asyncio.wait({ended}, timeout=EVERY)
            writer.write(b"a")
        fates.lived.append(time.monotonic() - began)
        fates.answers[ended.result()] += 1
    finally:
        ended.cancel()
        writer.close()


async def _answer(reader: asyncio.StreamReader) -> str:
    try:
        line = await reader.readline()
        await reader.read()
    except OSError:
        return "reset"
    return line[9:12].decode() or "closed"


async def _again(port: int, start: bytes, fates: Fates) -> None:
    while True:
        await _drip(port, start, fates)


async def _main(port: int, headers: int, bodies: int, seconds: float) -> None:
    heads, dripped = Fates(), Fates()
    tasks = [asyncio.create_task(_again(port, HEAD, heads)) for _ in range(headers)]
    tasks += [asyncio.create_task(_again(port, BODY, dripped)) for _ in range(bodies)]
    await asyncio.sleep(seconds)
    print(json.dumps({"headers": heads.show(), "bodies": dripped.show()}))
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


if __name__ == "__main__":
    asyncio.run(_main(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])))
