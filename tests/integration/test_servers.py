import pytest
from nats.aio.client import Client

from tests import servers


@pytest.mark.integration
async def test_the_real_servers_start(nats_server: servers.NatsServer, temporal_server: servers.TemporalServer) -> None:
    """Both servers come out of their wheels and answer."""
    client = Client()
    plan = nats_server.plan
    await client.connect(plan.url, user=plan.user, password=plan.password)
    account = await client.jetstream().account_info()
    await client.close()
    assert account.memory == 0
    assert temporal_server.plan.port > 0
