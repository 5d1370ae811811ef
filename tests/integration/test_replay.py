"""Events of the past, from the command line: explained, delivered once under linked identities, never by accident."""

import json
from pathlib import Path

import pytest

from holdfast.embedded.sink import Sink
from holdfast.embedded.stack import EmbeddedStack
from tests.conftest import assert_eventually
from tests.integration.test_handling_dead_letters import holdfast

CONFIG = """version: 1
sources:
  ops:
    verify: {{preset: bearer, secrets: ["file:token"]}}
    event: {{type: event.data.type}}
triggers:
  page:
    on: ops
    when: event.type == "alarm"
    run: {{http: {{url: "{url}/page"}}}}
"""
MENDED = """  report:
    on: ops
    when: event.type != "noise"
    run: {{http: {{url: "{url}/report"}}}}
"""
pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]
REPLAY = ("replay", "--source", "ops", "--since", "1h", "--json")


async def test_what_matched_nothing_is_delivered_to_the_mended_trigger_once(tmp_path: Path) -> None:
    """A dry run explains; the replay delivers what was not delivered; a second replay delivers nothing."""
    sink = Sink()
    await sink.start()
    (tmp_path / "token").write_text("secret-token")
    file = tmp_path / "holdfast.yaml"
    file.write_text(CONFIG.format(url=sink.url))
    try:
        stack = EmbeddedStack(tmp_path / "data", file)
        await stack.start()
        try:
            for kind in ("alarm", "order", "order", "noise"):
                assert (await holdfast(tmp_path, "send", "ops", "--type", kind, "--json")).code == 0

            async def paged() -> bool:
                return len(sink.at("/page")) == 1

            await assert_eventually(paged, within=40)
        finally:
            await stack.stop()
        file.write_text((CONFIG + MENDED).format(url=sink.url))
        stack = EmbeddedStack(tmp_path / "data", file)
        await stack.start()
        try:
            await _replayed(tmp_path, sink)
        finally:
            await stack.stop()
    finally:
        await sink.stop()


async def _replayed(home: Path, sink: Sink) -> None:
    dry = await holdfast(home, *REPLAY, "--dry-run", "--id", "look")
    survey = json.loads(dry.out)["survey"]
    assert survey["count"] == 3, dry.err
    assert survey["by"] == {"not to page: it has a delivery already": 1, "to report": 3, "no trigger wants it": 1}
    noise = next(one for one in survey["sample"] if one["event_type"] == "noise")
    assert any("report passed" in line and "event.type" in line for line in noise["triggers"])
    assert not sink.at("/report")

    refused = await holdfast(home, *REPLAY)
    assert (refused.code, "--yes" in refused.err) == (1, True)
    few = json.loads((await holdfast(home, *REPLAY, "--unmatched", "--yes", "--id", "unmatched")).out)
    assert (few["phase"], few["tally"]["done"]) == ("done", 2)
    rest = json.loads((await holdfast(home, *REPLAY, "--yes", "--where", 'event.type == "alarm"')).out)
    assert (rest["tally"]["done"], rest["tally"]["skipped"]) == (1, {"it has a delivery already": 1})

    async def reported() -> bool:
        return len(sink.at("/report")) == 3

    await assert_eventually(reported, within=40)
    assert len(sink.at("/page")) == 1
    keys = {call.key for call in sink.at("/report")}
    assert all(key.startswith("report/ops/") and key.endswith(":replay-once") for key in keys)
    second = json.loads((await holdfast(home, *REPLAY, "--yes", "--id", "second")).out)
    assert (second["tally"]["done"], second["tally"]["skipped"]) == (
        0,
        {"it has a delivery already": 1, "it was replayed already": 3},
    )
    repeated = json.loads((await holdfast(home, *REPLAY, "--yes", "--again", "--trigger", "page", "--id", "anew")).out)
    assert repeated["tally"]["done"] == 1
    listed = json.loads((await holdfast(home, "bulk", "list", "--json")).out)
    assert {"look", "unmatched", "second", "anew"} <= {one["id"] for one in listed}
    assert "done" in (await holdfast(home, "bulk", "show", "unmatched")).out
