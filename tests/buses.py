"""Connections to the tests' own NATS: each test asks for one and leaves the streams empty for the next."""

import contextlib
from collections.abc import AsyncIterator
from datetime import timedelta

from pydantic import SecretStr

from holdfast.bus.connect import Bus
from holdfast.bus.lookup import event_streams
from holdfast.bus.streams import stream_plans
from holdfast.bus.topology import ensure_streams
from holdfast.domain.streams import BusConfig
from holdfast.settings.process import ProcessSettings
from tests.servers import NatsServer

SOON = timedelta(seconds=5)


def settings_for(server: NatsServer, **more: object) -> ProcessSettings:
    """Process settings that point at a test's NATS."""
    plan = server.plan
    return ProcessSettings(
        nats_url=plan.url,
        nats_user=plan.user,
        nats_password=SecretStr(plan.password),
        nats_monitor_url=plan.monitor_url,
        **more,  # type: ignore[arg-type]
    )


@contextlib.asynccontextmanager
async def connected(server: NatsServer, config: BusConfig | None = None) -> AsyncIterator[Bus]:
    """Yield a connected bus with fresh, empty streams."""
    bus = Bus.from_settings(settings_for(server), "test")
    await bus.start()
    try:
        await bus.connected(SOON)
        await delete_streams(bus)
        await ensure_streams(bus, config or BusConfig())
        yield bus
    finally:
        await bus.close()


async def delete_streams(bus: Bus) -> None:
    """Remove what an earlier test left behind."""
    for name in {plan.name for plan in stream_plans(BusConfig())} | set(await event_streams(bus)):
        with contextlib.suppress(Exception):
            await bus.jetstream.delete_stream(name)
