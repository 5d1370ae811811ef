"""Whether a server answers: one bounded HTTP request each. Flow: service asks → **probes**."""

import httpx

from holdfast.embedded.service import Probe

TIMEOUT = 2.0  # seconds per request


def answers(client: httpx.AsyncClient, url: str) -> Probe:
    """Return a probe that holds while GET `url` answers 2xx."""

    async def probe() -> bool:
        try:
            response = await client.get(url, timeout=TIMEOUT)
        except httpx.HTTPError:
            return False
        return response.is_success

    return probe


def new_client() -> httpx.AsyncClient:
    """Return the client for probes: no proxies, the servers are on loopback; no connection kept over a restart."""
    return httpx.AsyncClient(trust_env=False, limits=httpx.Limits(max_keepalive_connections=0))
