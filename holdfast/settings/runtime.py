"""Where a running embedded stack is: one file in its data directory, so that other commands find it by themselves.

Flow: `holdfast up` writes it → `holdfast send`, `events`, `dead-letters`, `schedules` read it. What the environment
says wins: NATS and Temporal are taken from here only where the environment names none.
"""

import fcntl
import os
from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, SecretStr, ValidationError

from holdfast.settings.process import ProcessSettings

FILE = "runtime.json"
LOCK = "lock"

_GATEWAY = (
    "gateway_host",
    "gateway_port",
    "gateway_ops_host",
    "gateway_ops_port",
    "worker_ops_host",
    "worker_ops_port",
    "worker_api_port",
)
_NATS = ("nats_url", "nats_user", "nats_password", "nats_monitor_url")
_TEMPORAL = ("temporal_address", "temporal_ui_url")


class Runtime(BaseModel):
    """The addresses of a running stack. It holds the password of the bus, so the file is readable by its owner only."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    pid: int
    config: Path
    gateway_host: str
    gateway_port: int
    gateway_ops_host: str
    gateway_ops_port: int
    worker_ops_host: str
    worker_ops_port: int
    worker_api_port: int | None = None
    nats_url: str | None = None  # None: not ours, the environment named it
    nats_user: str | None = None
    nats_password: str | None = None
    nats_monitor_url: str | None = None
    temporal_address: str | None = None
    temporal_ui_url: str | None = None


def read_runtime(data_dir: Path) -> Runtime | None:
    """Return where the stack on `data_dir` is, or None when none runs there."""
    if not is_locked(data_dir / LOCK):
        return None  # the file of a stack that was killed names ports that may be anybody's by now
    try:
        return Runtime.model_validate_json((data_dir / FILE).read_bytes())
    except (OSError, ValidationError):
        return None


def is_locked(lock: Path) -> bool:
    """Whether a process holds the lock."""
    try:
        with lock.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def load_settings(config: Path | None = None, data_dir: Path | None = None) -> ProcessSettings:
    """Read the environment, completed with a running embedded stack's addresses; the arguments win over both.

    Raises RejectedInput `config.invalid` naming every wrong variable.
    """
    settings = ProcessSettings.load()
    given = {"config": config, "data_dir": data_dir}
    settings = settings.model_copy(update={name: value for name, value in given.items() if value is not None})
    runtime = read_runtime(settings.data_dir)
    return settings if runtime is None else _completed(settings, runtime, config_given=config is not None)


def _completed(settings: ProcessSettings, runtime: Runtime, *, config_given: bool) -> ProcessSettings:
    said = settings.model_fields_set
    update: dict[str, object] = {name: getattr(runtime, name) for name in _GATEWAY if name not in said}
    # address and credentials belong together: ours are no use with a server that the environment names
    if "nats_url" not in said and runtime.nats_url is not None:
        update |= {name: getattr(runtime, name) for name in _NATS}
        update["nats_password"] = SecretStr(runtime.nats_password) if runtime.nats_password else None
    if "temporal_address" not in said and runtime.temporal_address is not None:
        update |= {name: getattr(runtime, name) for name in _TEMPORAL}
    if "config" not in said and not config_given:
        update["config"] = runtime.config
    return settings.model_copy(update=update)


def child_environment(update: Mapping[str, str]) -> dict[str, str]:
    """Return our environment with `update`, for a child that is one of our own processes."""
    return {**os.environ, **update}


def server_environment() -> dict[str, str]:
    """Return what a foreign server needs of our environment: no secrets, and nothing that would configure it."""
    return {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR", "LANG", "TZ") if name in os.environ}
