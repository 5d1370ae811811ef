"""Running one role as a process: telemetry first, then its loop, then the last of the telemetry.

Flow: `holdfast gateway` | `holdfast worker` → **role** → gateway.process.run | workers.worker.run.
"""

import asyncio
import signal
from collections.abc import Callable, Coroutine
from typing import Any, Literal

import uvloop

from holdfast.settings.process import ProcessSettings
from holdfast.telemetry.metrics import Metrics
from holdfast.telemetry.setup import start_telemetry


def run_role(
    service: Literal["gateway", "worker"],
    settings: ProcessSettings,
    run: Callable[[Metrics], Coroutine[Any, Any, None]],
) -> None:
    """Run until the role has ended; its signals are its own."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # it means "read the file again", and must not end who still starts
    telemetry = start_telemetry(service, settings)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(run(telemetry.metrics))
    finally:
        telemetry.close()
