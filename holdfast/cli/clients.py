"""Connections of the commands: opened for one command, bounded, closed after it."""

import contextlib
from collections.abc import AsyncIterator
from datetime import timedelta

from temporalio.client import Client

from holdfast.bus.connect import Bus
from holdfast.errors import ErrorCode, Unavailable
from holdfast.settings.process import ProcessSettings
from holdfast.temporal import whereabouts
from holdfast.temporal.connect import connect

CONNECT_WITHIN = timedelta(seconds=5)
HINT = "is the stack running (`holdfast up`)? Elsewhere, say where it is:"


@contextlib.asynccontextmanager
async def open_bus(settings: ProcessSettings) -> AsyncIterator[Bus]:
    """Connect to NATS. Raises Unavailable `bus.unavailable` with what to do."""
    bus = Bus.from_settings(settings, "holdfast-cli")
    await bus.start()
    try:
        try:
            await bus.connected(CONNECT_WITHIN)
        except Unavailable as error:
            raise Unavailable(
                ErrorCode.BUS_UNAVAILABLE, f"NATS at {settings.nats_url} does not answer; {HINT} NATS_URL, NATS_USER"
            ) from error
        yield bus
    finally:
        await bus.close()


async def open_temporal(settings: ProcessSettings) -> Client:
    """Connect to Temporal. Raises Unavailable `temporal.unavailable` with what to do."""
    try:
        return await connect(settings)
    except Unavailable as error:
        raise Unavailable(error.code, f"{error.message}; {HINT} TEMPORAL_ADDRESS") from error


def workflow_link(settings: ProcessSettings, namespace: str, workflow_id: str) -> str:
    """Return the address of a workflow in the Temporal UI."""
    return whereabouts.workflow_link(settings.temporal_ui_url, namespace, workflow_id)
