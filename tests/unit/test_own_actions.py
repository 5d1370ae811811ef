"""Actions of one's own: how they are found, how `holdfast check` holds a trigger against them, how they run."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel
from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.own import OwnTarget
from activities.target import Receipt, Shipment
from holdfast.actions import ActionContext, Refused, TryAgain, action
from holdfast.domain.actions import ActivityAction
from holdfast.domain.registered import RegisteredAction, register
from holdfast.errors import ErrorCode, HoldfastError, PermanentFailure, RejectedInput, TransientFailure
from holdfast.settings.file import ConfigError, load_config
from tests.durable import event

ROOT = Path(__file__).parents[2]
MODULE = """
from pydantic import BaseModel, Field
from temporalio import activity
from holdfast.actions import action

class Charge(BaseModel, extra="forbid"):
    customer: str
    cents: int = Field(gt=0)

@action("charge")
async def charge(given: Charge): ...

@activity.defn
async def refund(given: Charge): ...
"""
YAML = """
version: 1
actions: [mine.py]
sources: {shop: {dangerous_unverified: true}}
triggers:
  bill:
    on: shop
    run: {activity: {name: charge, args: {customer: event.data.id, cents: 5}}}
"""


def problems(tmp_path: Path, yaml: str = YAML, module: str = MODULE) -> list[str]:
    """What is wrong with a file and its module."""
    (tmp_path / "mine.py").write_text(module)
    (tmp_path / "holdfast.yaml").write_text(yaml)
    try:
        load_config(tmp_path / "holdfast.yaml")
    except ConfigError as error:
        return [problem.show(Path("f")) for problem in error.problems]
    return []


def test_what_the_file_lists_is_found(tmp_path: Path) -> None:
    """Decorated functions, and Temporal activities under their own names, with their models."""
    assert problems(tmp_path) == []
    loaded = load_config(tmp_path / "holdfast.yaml")
    assert set(loaded.actions) == {"charge", "refund"}
    assert set(loaded.actions["refund"].parameters.model_fields) == {"customer", "cents"}
    assert load_config(tmp_path / "holdfast.yaml", actions=False).actions == {}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("charge, args", "charg, args"), "f:8: triggers.bill.run.activity.name: no action 'charg' is registered; did"),
        (("customer: e", "custmer: e"), "f:8: triggers.bill.run.activity.args.custmer: charge has no such parameter;"),
        (("customer: event.data.id, ", ""), "f:8: triggers.bill.run.activity.args: charge needs 'customer'"),
        (("cents: 5", "cents: 0"), "f:8: triggers.bill.run.activity.args.cents: Input should be greater than 0"),
        (("cents: 5", "cents: '\"five\"'"), "args.cents: Input should be a valid integer"),
        (("event.data.id", "'event.data.'"), "f:8: triggers.bill.run.activity.args.customer: not a CEL expression"),
        (("mine.py", "none.py"), "f:3: actions.0: none.py: cannot be imported: FileNotFoundError"),
        (("mine.py", "no_such_module"), "f:3: actions.0: no_such_module: cannot be imported: ModuleNotFoundError"),
    ],
)
def test_what_cannot_work_is_named_with_its_line(tmp_path: Path, change: tuple[str, str], said: str) -> None:
    """Before anything runs."""
    found = problems(tmp_path, YAML.replace(*change))
    assert any(said in line for line in found), found


def test_a_module_that_cannot_be_used_says_why(tmp_path: Path) -> None:
    """Two actions of one name, one without a model, none at all, a bug: each has its reason."""
    twice = MODULE + "\n@action('charge')\ndef other(given: Charge): ...\n"
    bare = "from holdfast.actions import action\n@action('x')\ndef x(given: int): ...\n"
    for number, (module, said) in enumerate(
        (
            (twice, "'charge' is in mine"),
            (bare, "pydantic model"),
            ("a = 1", "has no action"),
            ("1 / 0", "ZeroDivision"),
        )
    ):
        directory = tmp_path / str(number)
        directory.mkdir()
        assert any(said in line for line in problems(directory, module=module)), said


def test_the_example_is_sound() -> None:
    """What people copy works."""
    loaded = load_config(ROOT / "examples" / "own-action" / "holdfast.yaml")
    assert set(loaded.actions) == {"crm.upsert", "crm.note"}


class Given(BaseModel):
    """Parameters."""

    n: int = 1


async def run(function: Callable[..., Any] | RegisteredAction, args: Any = None, **more: Any) -> Receipt:
    """Run one action."""
    known = function if isinstance(function, RegisteredAction) else register("mine", function)
    given = ActivityAction(name=known.name, args=args or {}, **more)
    cargo = Shipment("bill/shop/e-1", event("e-1"), None, None)
    return await OwnTarget(lambda: {known.name: known}).send(given, cargo, trigger="bill", attempt=3)


async def test_it_gets_its_parameters_and_the_delivery() -> None:
    """Typed parameters, the idempotency key, the event, the attempt; its result is kept, whether it is async or not."""

    @action("mine")
    async def asynchronous(given: Given, context: ActionContext) -> Any:
        return [given.n + 1, context.delivery, context.event.id, context.trigger, context.attempt]

    def blocking(given: Given) -> Given:
        return given

    def bare() -> str:
        return "x" * 20_000

    assert (await run(asynchronous, {"n": "4"})).result == [5, "bill/shop/e-1", "e-1", "bill", 3]
    assert (await run(blocking, {"n": 2})).result == {"n": 2}
    assert "omitted" in (await run(bare)).result


async def test_what_it_raises_says_whether_it_is_tried_again() -> None:
    """Refused and non-retryable end it, everything else is tried again, with the wait that was asked for."""

    def refuse() -> None:
        raise Refused("no")

    def again() -> None:
        raise TryAgain("later", retry_after=timedelta(seconds=7))

    def temporal() -> None:
        raise ApplicationError("no", non_retryable=True)

    def bug() -> None:
        raise KeyError("x")

    async def slow(_: Given) -> None:
        await asyncio.Event().wait()

    async def failure(function: Any, **more: Any) -> HoldfastError:
        with pytest.raises(HoldfastError) as caught:
            await run(function, **more)
        return caught.value

    assert isinstance(await failure(refuse), PermanentFailure)
    assert isinstance(await failure(temporal), PermanentFailure)
    assert isinstance(await failure(bug), TransientFailure)
    assert (await failure(again)).retry_after == timedelta(seconds=7)
    late = await failure(slow, timeout=timedelta(milliseconds=20))
    assert (type(late), late.code) == (TransientFailure, ErrorCode.TARGET_TIMEOUT)
    wrong = await failure(slow, args={"n": "secret"})
    assert (type(wrong), wrong.code) == (PermanentFailure, ErrorCode.INPUT_INVALID)
    assert "secret" not in wrong.message


def test_a_signature_that_cannot_be_called_is_refused() -> None:
    """Three arguments, or a first one without a model."""

    def three(a: Given, b: ActionContext, c: int) -> None:
        """Take too much."""

    def untyped(a) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
        """Take what nobody knows."""

    for function in (three, untyped):
        with pytest.raises(RejectedInput):
            register("x", function)


@activity.defn
async def heartbeating(given: Given) -> int:
    """An activity as Temporal knows it."""
    return given.n


async def test_a_temporal_activity_is_an_action_too() -> None:
    """Decorated for Temporal, it runs as it is."""
    assert (await run(register("heartbeating", heartbeating), {"n": 3})).result == 3
