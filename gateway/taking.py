"""Taking another configuration while webhooks come: routes, limits and streams change in one step, or not at all.

A request under way keeps the route, the secrets and the limits that it began with.
Flow: `holdfast/settings/live.py` → **prepare** → swap.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from gateway.app import WebhookApp
from gateway.key_sets import KeySets
from gateway.quotas import Quotas
from gateway.routes import Routes
from holdfast.bus.connect import Bus
from holdfast.bus.topology import ready_for
from holdfast.settings.file import LoadedConfig
from holdfast.settings.live import LiveConfig
from holdfast.settings.secrets import Secrets


@dataclass(frozen=True, slots=True)
class Taking:
    """What of a gateway changes with the configuration."""

    bus: Bus
    live: LiveConfig
    routes: Routes
    quotas: Quotas
    key_sets: KeySets
    app: WebhookApp

    async def prepare(self, new: LoadedConfig) -> Callable[[], None]:
        """Compile every source and make the streams. Raises RejectedInput where a secret is missing, Unavailable."""
        secrets, proxies = Secrets(new.file.resolve().parent), self.live.config.gateway.proxies
        routes = await asyncio.to_thread(Routes, new.config.sources, secrets, proxies)
        await ready_for(self.bus, self.live.config.bus, new.config.bus)

        def swap() -> None:
            self.routes.replace(routes)
            self.quotas.replace({name: source.limits for name, source in new.config.sources.items()})
            self.key_sets.want(routes.key_sets)
            self.app.describe(self.routes)

        return swap
