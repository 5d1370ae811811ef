"""What a redrive knows of the steps that an earlier delivery has done."""

from pathlib import Path
from typing import Any

from activities.redrive import Redrives
from holdfast.contracts.dead_letter import DeadLetterRecord, PrepareRedriveInput
from holdfast.contracts.delivery import Redrive, StepOutcome
from holdfast.domain.deadletters import Stage
from tests.durable import RECEIVED, config, event

YAML = """
version: 1
sources: {shop: {dangerous_unverified: true}}
triggers:
  bill:
    on: shop
    run: {steps: [{name: a, log: {}}, {name: b, log: {}}, {name: c, log: {}}]}
"""


async def test_a_redrive_keeps_what_was_done_and_not_undone(tmp_path: Path) -> None:
    """Done stands, also where its compensation failed; compensated and failed are to be done anew."""
    steps = (
        StepOutcome(name="a", state="done", result=7, compensation="failed", compensation_error="HTTP 500"),
        StepOutcome(name="b", state="done", compensation="done"),
        StepOutcome(name="c", state="failed", code="target.refused"),
    )
    record = DeadLetterRecord(
        id="bill/shop/e-1",
        stage=Stage.DELIVERY,
        code="target.refused",
        message="step c: HTTP 422",
        at=RECEIVED,
        source="shop",
        trigger="bill",
        envelope=event(),
        steps=steps,
    )
    nothing: Any = None
    redrives = Redrives(nothing, config(tmp_path, YAML), nothing)
    lineage = Redrive(dead_letter_id=record.id, case="dead-letter/x", number=1)
    prepared = await redrives.prepare_redrive(PrepareRedriveInput(record=record, redrive=lineage))
    assert prepared.delivery is not None
    assert [(one.name, one.result) for one in prepared.delivery.completed] == [("a", 7)]
