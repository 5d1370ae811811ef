"""A person handles a dead letter from the command line: list, show, mend, redrive; discard; no case twice."""

import asyncio
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from holdfast.embedded.sink import Reply, Sink
from holdfast.embedded.stack import EmbeddedStack
from tests.conftest import assert_eventually

CONFIG = """version: 1
sources:
  ops:
    verify: {{preset: bearer, secrets: ["file:token"]}}
    event: {{type: event.data.type}}
triggers:
  page:
    on: ops
    when: event.type != "nobody.wants"
    run: {{http: {{url: "{url}/page"}}}}
    retry: {{max_attempts: 1}}
"""
pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]


@dataclass
class Said:
    """What a command answered."""

    code: int
    out: str
    err: str


async def holdfast(home: Path, *words: str, body: str = "") -> Said:
    """Run a command beside the stack, which it finds by the data directory."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "holdfast.cli.main", *words),
        cwd=home,
        env={**os.environ, "HOLDFAST_DATA_DIR": "data"},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(body.encode()), 60)
    return Said(process.returncode or 0, out.decode(), err.decode())


async def test_from_the_list_to_the_redrive(tmp_path: Path) -> None:
    """Each step says what the next one is; what was mended is delivered; what is closed stays closed, in words."""
    sink = Sink()
    await sink.start()
    sink.standing["/page"] = Reply(410)
    (tmp_path / "token").write_text("secret-token")
    (tmp_path / "holdfast.yaml").write_text(CONFIG.format(url=sink.url))
    stack = EmbeddedStack(tmp_path / "data", tmp_path / "holdfast.yaml")
    await stack.start()
    try:
        await _handle(tmp_path, sink)
    finally:
        await stack.stop()
        await sink.stop()


async def _handle(home: Path, sink: Sink) -> None:
    first = json.loads((await holdfast(home, "send", "ops", "--json")).out)["id"]
    second = json.loads((await holdfast(home, "send", "ops", "--type", "other", "--json")).out)["id"]
    stray = json.loads((await holdfast(home, "send", "ops", "--type", "nobody.wants", "--json")).out)["id"]

    async def listed() -> bool:
        return len(json.loads((await holdfast(home, "dead-letters", "list", "--json")).out)) == 2

    await assert_eventually(listed, within=40)
    one, two = f"page/ops/{first}", f"page/ops/{second}"
    text = (await holdfast(home, "dead-letters", "list", "--source", "ops", "--error", "target.refused")).out
    assert f"\n  {one}\n" in text  # whole, on a line of its own, in any terminal
    shown = (await holdfast(home, "dead-letters", "show", one)).out
    assert "target.refused" in shown
    assert f"holdfast dead-letters redrive {one}" in shown
    where = await holdfast(home, "events", "show", "ops", first)
    assert f"ops {first}: dead-lettered" in where.out
    assert f"holdfast dead-letters show {one}" in where.out
    assert "no trigger wanted it" in (await holdfast(home, "events", "show", "ops", stray)).out
    assert (await holdfast(home, "events", "show", "ops", "no-such-event")).code == 1

    failed = await holdfast(home, "dead-letters", "redrive", one, "--wait", "30", "--by", "ann")
    assert failed.code == 1
    assert "state     open" in failed.out
    sink.standing.clear()
    mended = await holdfast(home, "dead-letters", "redrive", one, "--wait", "30", "--by", "ann", "--reason", "mended")
    assert mended.code == 0, mended.err
    assert "state     resolved" in mended.out
    assert "redrive by ann: mended" in mended.out
    assert [call.status for call in sink.at("/page")] == [410, 410, 410, 200]
    closed = await holdfast(home, "dead-letters", "redrive", one)
    assert closed.code == 1
    assert "cannot redrive a case that is resolved" in closed.err
    discarded = await holdfast(home, "dead-letters", "discard", two, "--reason", "not needed")
    assert "state     discarded" in discarded.out
    missing = await holdfast(home, "dead-letters", "show", "page/ops/no-such")
    assert (missing.code, "not_found" in missing.err) == (1, True)
