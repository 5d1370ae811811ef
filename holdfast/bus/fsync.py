"""Whether a PubAck means "on disk": the server's version and `sync_always`, asked of the server itself.

Flow: connect → ensure → **verify_fsync** → ready.
"""

import asyncio
import logging

import httpx

from holdfast.bus.connect import Bus
from holdfast.domain.streams import BusConfig
from holdfast.errors import ErrorCode, Unavailable
from holdfast.settings.process import ProcessSettings

log = logging.getLogger(__name__)

OLDEST_SERVER = (2, 15, 0)  # before it, `sync_interval: always` could lose acknowledged messages in block compaction
MONITOR_TIMEOUT = 2.0  # s


async def verify_fsync(bus: Bus, settings: ProcessSettings, config: BusConfig) -> None:
    """Verify that the server syncs every message to disk before it acknowledges it.

    Raises Unavailable `bus.misconfigured` where it does not, or where that cannot be seen; with `dangerous_unsynced`
    it only warns.
    """
    try:
        _verify_version(bus.server_version)
        if settings.nats_monitor_url is None:
            raise Unavailable(  # noqa: TRY301 - one place decides what dangerous_unsynced forgives
                ErrorCode.BUS_MISCONFIGURED,
                "cannot verify that NATS syncs to disk before it answers: set NATS_MONITOR_URL to its monitoring"
                " address, like http://127.0.0.1:8222; or accept losses with bus.dangerous_unsynced: true",
            )
        await _verify_servers([url.strip().rstrip("/") for url in settings.nats_monitor_url.split(",")])
    except Unavailable as problem:
        if not config.dangerous_unsynced:
            raise
        log.warning("bus.dangerous_unsynced", extra={"reason": problem.message})


def _verify_version(version: str) -> None:
    parts = version.partition("-")[0].split(".")
    numbers = tuple(int(part) for part in parts if part.isdecimal() and len(part) < 9)
    if numbers < OLDEST_SERVER:
        oldest = ".".join(map(str, OLDEST_SERVER))
        raise Unavailable(
            ErrorCode.BUS_MISCONFIGURED,
            f"NATS server {version} can lose acknowledged messages even with sync_interval: always;"
            f" use {oldest} or later",
        )


async def _verify_servers(urls: list[str]) -> None:
    """Every server that answers must sync, and one must answer: a cluster goes on with a server down, and so do we.

    A server that comes back otherwise than it went is found by the next verification.
    """
    outcomes = await asyncio.gather(*map(_verify_sync_always, urls), return_exceptions=True)
    problems = [outcome for outcome in outcomes if outcome is not None]
    for problem in problems:
        if not isinstance(problem, Unavailable) or problem.code == ErrorCode.BUS_MISCONFIGURED:
            raise problem
    if len(problems) == len(urls):
        raise problems[0]


async def _verify_sync_always(url: str) -> None:
    try:
        async with httpx.AsyncClient(timeout=MONITOR_TIMEOUT, trust_env=False) as client:
            async with asyncio.timeout(MONITOR_TIMEOUT * 2):
                reply = await client.get(f"{url}/jsz", params={"config": "1"})
                seen = reply.raise_for_status().json()
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, TimeoutError) as error:
        raise Unavailable(
            ErrorCode.BUS_UNAVAILABLE, f"NATS monitoring at {url} does not answer: {type(error).__name__}"
        ) from error
    if not (isinstance(seen, dict) and isinstance(seen.get("config"), dict) and seen["config"].get("sync_always")):
        raise Unavailable(
            ErrorCode.BUS_MISCONFIGURED,
            "the NATS server acknowledges messages before they are on disk, so a power cut loses accepted events:"
            " set `jetstream { sync_interval: always }`; or accept losses with bus.dangerous_unsynced: true",
        )
