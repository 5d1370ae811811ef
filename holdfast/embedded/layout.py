"""What the stack runs and where: every server's plan, command and environment. Pure of processes.

Flow: lock → versions → ports → **layout** → service starts them.
"""

import dataclasses
import sys
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import httpx

from holdfast.embedded.credentials import Credentials
from holdfast.embedded.ports import Ports
from holdfast.embedded.probes import answers
from holdfast.embedded.processes import Command
from holdfast.embedded.room import room_for
from holdfast.embedded.servers import LOOPBACK, NatsPlan, TemporalPlan
from holdfast.embedded.service import ServiceSpec
from holdfast.embedded.supervise import RestartPolicy
from holdfast.settings.process import ProcessSettings
from holdfast.settings.runtime import Runtime, child_environment, server_environment

LONG_START = timedelta(minutes=5)  # a large store is read before its server answers: killing it would begin anew
BUS = RestartPolicy(start_within=LONG_START)
DATABASE = RestartPolicy(start_within=LONG_START, silent_for=timedelta(seconds=30))
ROLE = RestartPolicy(silent_for=timedelta(seconds=30))  # a busy machine is no reason to lose what is under way
PORTS_OF = {
    "nats": ("nats", "nats_monitor"),
    "temporal": ("temporal", "temporal_ui", "temporal_metrics", "temporal_http"),
    "gateway": ("gateway", "gateway_ops"),
    "worker": ("worker_ops", "worker_api"),
}


@dataclass(frozen=True, slots=True)
class Layout:
    """Where everything of one stack is."""

    data_dir: Path  # absolute
    config: Path  # absolute
    ports: Ports
    settings: ProcessSettings
    credentials: Credentials

    @property
    def own_nats(self) -> bool:
        """Whether we start NATS: the environment names none."""
        return "nats_url" not in self.settings.model_fields_set

    @property
    def own_temporal(self) -> bool:
        """Whether we start Temporal: the environment names none."""
        return "temporal_address" not in self.settings.model_fields_set

    @property
    def nats(self) -> NatsPlan:
        """Our nats-server."""
        directory, ports, user = self.data_dir / "nats", self.ports, self.credentials.nats_user
        room = room_for(directory / "store")
        return NatsPlan(directory, ports.nats, ports.nats_monitor, user, self.credentials.nats_password, room)

    @property
    def temporal(self) -> TemporalPlan:
        """Our Temporal."""
        ports = self.ports
        listeners = (ports.temporal, ports.temporal_ui, ports.temporal_metrics, ports.temporal_http)
        return TemporalPlan(self.data_dir / "temporal", *listeners)

    @property
    def gateway_url(self) -> str:
        """Where webhooks are sent."""
        return f"http://{_reachable(self.settings.gateway_host)}:{self.ports.gateway}"

    @property
    def gateway_ops_url(self) -> str:
        """Health and metrics of the gateway."""
        return f"http://{_reachable(self.settings.gateway_ops_host)}:{self.ports.gateway_ops}"

    @property
    def worker_ops_url(self) -> str:
        """Health and metrics of the worker."""
        return f"http://{_reachable(self.settings.worker_ops_host)}:{self.ports.worker_ops}"

    @property
    def api_url(self) -> str:
        """The admin API of the worker."""
        return f"http://{_reachable(self.settings.worker_api_host)}:{self.ports.worker_api}"

    def runtime(self, pid: int) -> Runtime:
        """What other commands need to find this stack."""
        nats, temporal, settings = self.nats, self.temporal, self.settings
        ours: dict[str, str] = {}
        if self.own_nats:
            ours |= {"nats_url": nats.url, "nats_user": nats.user, "nats_password": nats.password}
            ours |= {"nats_monitor_url": nats.monitor_url}
        if self.own_temporal:
            ours |= {"temporal_address": temporal.address, "temporal_ui_url": temporal.ui_url}
        return Runtime(
            pid=pid,
            config=self.config,
            gateway_host=_reachable(settings.gateway_host),
            gateway_port=self.ports.gateway,
            gateway_ops_host=_reachable(settings.gateway_ops_host),
            gateway_ops_port=self.ports.gateway_ops,
            worker_ops_host=_reachable(settings.worker_ops_host),
            worker_ops_port=self.ports.worker_ops,
            worker_api_port=self.ports.worker_api,
            **ours,
        )

    def environment(self) -> dict[str, str]:
        """Variables that tell gateway and worker where everything is; secrets travel here, never in a command line."""
        told = {
            "HOLDFAST_CONFIG": str(self.config),
            "HOLDFAST_DATA_DIR": str(self.data_dir),
            "HOLDFAST_GATEWAY_PORT": str(self.ports.gateway),
            "HOLDFAST_GATEWAY_OPS_PORT": str(self.ports.gateway_ops),
            "HOLDFAST_WORKER_OPS_PORT": str(self.ports.worker_ops),
            "HOLDFAST_WORKER_API_PORT": str(self.ports.worker_api),
            "PYTHONUNBUFFERED": "1",
        }
        if self.own_nats:
            nats = self.nats
            told |= {"NATS_URL": nats.url, "NATS_USER": nats.user, "NATS_PASSWORD": nats.password}
            told |= {"NATS_MONITOR_URL": nats.monitor_url}
        if self.own_temporal:
            told |= {"TEMPORAL_ADDRESS": self.temporal.address, "TEMPORAL_UI_URL": self.temporal.ui_url}
        return told

    def needed_ports(self, names: tuple[str, ...]) -> tuple[str, ...]:
        """Fields of Ports that the servers `names` will listen on."""
        return tuple(port for name in names for port in PORTS_OF[name])

    def spec(self, name: str, client: httpx.AsyncClient) -> ServiceSpec:
        """How server `name` is run, asked and ended."""
        if name == "nats":
            # the whole /healthz: after ENOSPC JetStream refuses for ever, and only this answer shows it
            healthy = answers(client, f"{self.nats.monitor_url}/healthz")
            command = self._server("nats", self.nats.write())
            return ServiceSpec("nats", command, healthy, healthy, BUS, timedelta(seconds=2))
        if name == "temporal":
            # through the frontend to the database: later than the port is open
            url = f"http://{LOOPBACK}:{self.ports.temporal_http}/api/v1/namespaces/default"
            healthy = answers(client, url)
            command = self._server("temporal", self.temporal.write())
            return ServiceSpec("temporal", command, healthy, healthy, DATABASE, timedelta(seconds=2.5))
        url = self.gateway_ops_url if name == "gateway" else self.worker_ops_url
        grace = timedelta(seconds=5 if name == "gateway" else 11)
        ready, alive = answers(client, f"{url}/healthz/ready"), answers(client, f"{url}/healthz/live")
        argv = (sys.executable, "-m", "holdfast.cli.main", name)
        command = Command(argv, child_environment(self.environment()), self._log(name))
        return ServiceSpec(name, command, ready, alive, ROLE, grace)

    def _server(self, name: str, argv: list[str]) -> Command:
        return Command(tuple(argv), server_environment(), self._log(name))

    def _log(self, name: str) -> Path:
        return self.data_dir / "logs" / f"{name}.log"


def with_ports(settings: ProcessSettings, offset: int = 0) -> Ports:
    """Return the default ports, with those that the environment sets, moved by `offset`."""
    named = {"gateway": settings.gateway_port, "gateway_ops": settings.gateway_ops_port}
    named |= {"worker_ops": settings.worker_ops_port, "worker_api": settings.api_port}
    return dataclasses.replace(Ports(), **named).shifted(offset)


def _reachable(host: str) -> str:
    """Return the address to call a listener at: one that listens everywhere is called at loopback."""
    return LOOPBACK if host in {"0.0.0.0", "::", ""} else host  # noqa: S104 - compared, not bound
