"""Takes the README's pictures again: deliveries and a dead letter as the Temporal UI shows them.

Needs a Chromium (`CHROMIUM=/path/to/it` where it is not called chromium): `make screenshots`.
"""

import asyncio
import base64
import contextlib
import json
import os
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console
from websockets.asyncio.client import connect

from holdfast.cli.demo.play import CONFIG
from holdfast.cli.demo.stage import SECRET, Stage
from holdfast.contracts import names
from holdfast.embedded.sink import Reply, Sink
from holdfast.embedded.stack import EmbeddedStack
from holdfast.ids import case_id

IMAGES = Path(__file__).parent / "images"
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--remote-debugging-port=0"),
)
SETTLE_SECONDS = 4.0  # until the page has fetched and drawn what it shows; it never becomes idle, it polls


@contextlib.asynccontextmanager
async def browser() -> AsyncIterator[str]:
    """Run a headless Chromium; yield the address of its debugging protocol."""
    program = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        sys.exit("no Chromium found; on Debian: apt-get install chromium, or set CHROMIUM=/path/to/it")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        quiet = asyncio.subprocess.DEVNULL
        command = [program, *FLAGS, f"--user-data-dir={profile}"]
        process = await asyncio.create_subprocess_exec(*command, stdout=quiet, stderr=quiet)
        port_file = Path(profile) / "DevToolsActivePort"
        try:
            async with asyncio.timeout(30):
                while not port_file.exists():  # noqa: ASYNC110 - a file signals nothing
                    await asyncio.sleep(0.1)
            yield f"127.0.0.1:{port_file.read_text().splitlines()[0]}"
        finally:
            process.kill()
            await process.wait()


async def shoot(devtools: str, address: str, name: str, height: int) -> None:
    """Take one picture of a page."""
    async with httpx.AsyncClient() as http:
        page = (await http.put(f"http://{devtools}/json/new?about:blank")).json()
    async with asyncio.timeout(60), connect(page["webSocketDebuggerUrl"], max_size=None) as socket:

        async def call(number: int, method: str, **given: Any) -> Any:
            await socket.send(json.dumps({"id": number, "method": method, "params": given}))
            while (reply := json.loads(await socket.recv())).get("id") != number:
                pass
            return reply["result"]

        size = {"width": 1280, "height": height, "deviceScaleFactor": 1, "mobile": False}
        await call(1, "Emulation.setDeviceMetricsOverride", **size)
        await call(2, "Page.navigate", url=address)
        await asyncio.sleep(SETTLE_SECONDS)
        picture = await call(3, "Page.captureScreenshot", format="png")
    (IMAGES / f"{name}.png").write_bytes(base64.b64decode(picture["data"]))
    Console().print(f"wrote {IMAGES / name}.png")


async def main() -> None:
    """Start a stack, let one event be delivered, one refused and one retried, and take the pictures."""
    async with contextlib.AsyncExitStack() as exits:
        home = Path(exits.enter_context(tempfile.TemporaryDirectory(prefix="holdfast-pictures-")))
        sink = Sink(standing={"/refused": Reply(410), "/flaky": Reply(503)})
        await sink.start()
        exits.push_async_callback(sink.stop)
        (home / "github-secret").write_text(SECRET)
        (home / "holdfast.yaml").write_text(CONFIG.format(sink=sink.url).replace("initial: 200ms", "initial: 2m"))
        stack = EmbeddedStack(home / "data", home / "holdfast.yaml")
        exits.push_async_callback(stack.stop)
        await stack.start()
        http = await exits.enter_async_context(httpx.AsyncClient(timeout=10))
        stage = Stage(stack, sink, Console(), http)
        delivered = stage.delivery_id("first", await stage.deliver("first"))
        dead = stage.delivery_id("refused", await stage.deliver("refused"))
        retrying = stage.delivery_id("flaky", await stage.deliver("flaky"))
        await stage.completed(delivered)
        open_cases = f'WorkflowType="{names.DEAD_LETTER}" AND {names.SA_STATE}="open"'
        await stage.until(lambda: len(stage.workflows(open_cases)) >= 1, "an open case")
        await stage.until(lambda: len(sink.at("/flaky")) >= 1, "a failed attempt")
        devtools = await exits.enter_async_context(browser())
        for name, address, height in (
            ("workflows", f"{stage.stack.ui_url}/namespaces/default/workflows", 520),
            ("delivery", stage.link(delivered), 900),
            ("retrying", metadata(stage, retrying), 760),
            ("dead-letter", metadata(stage, case_id(dead)), 1280),
        ):
            await shoot(devtools, address, name, height)


def metadata(stage: Stage, workflow_id: str) -> str:
    """Address of the tab where the UI shows summary and current details."""
    run = stage.workflows(f'WorkflowId="{workflow_id}"')[0]["execution"]["runId"]
    return f"{stage.link(workflow_id)}/{run}/user-metadata"


if __name__ == "__main__":
    IMAGES.mkdir(exist_ok=True)
    asyncio.run(main())
