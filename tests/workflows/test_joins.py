"""Join on a clock that jumps: windows, absence, late and repeated events, what happens at the end."""

import json
from datetime import datetime, timedelta
from typing import Any

import pytest
from temporalio.client import WorkflowExecutionStatus, WorkflowFailureError
from temporalio.exceptions import CancelledError

from holdfast import ids
from holdfast.contracts import names
from holdfast.contracts.join import JoinOffer, JoinView
from holdfast.embedded.sink import Reply
from holdfast.temporal.starts import offer_to_join
from tests.conftest import assert_eventually
from tests.durable import Stack, failure, kinds
from tests.joins import BOTH, PAID_NOT_SHIPPED, join, offer, spec, unmatched

pytestmark = pytest.mark.integration


async def _offer(stack: Stack, *offers: JoinOffer) -> None:
    for one in offers:
        await offer_to_join(stack.client, one)


def _sha(value: Any) -> str:
    return ids.sha256_hex(json.dumps(value).encode())


async def _view(stack: Stack) -> JoinView:
    """What the window shows, once the first event is in it."""

    async def there() -> bool:
        return bool((await join(stack.client).query(names.WINDOW, result_type=JoinView)).came)

    await assert_eventually(there)
    view: JoinView = await join(stack.client).query(names.WINDOW, result_type=JoinView)
    return view


def _open_for(window: dict[str, Any]) -> timedelta:
    return datetime.fromisoformat(window["closed_at"]) - datetime.fromisoformat(window["opened_at"])


async def _windows(stack: Stack, **more: Any) -> list[dict[str, Any]]:
    async with stack.skipping():
        result = await join(stack.client, **more).result()
    return list(result["windows"])


async def test_a_join_fires_as_soon_as_everything_has_come(stack: Stack) -> None:
    """Both events are in the one call, whatever their order; the delivery bears the name of the first."""
    both = spec(
        BOTH | {"run": {"http": {"url": stack.sink.url + "/x", "body": "events.paid.data.n + events.shipped.data.n"}}}
    )
    await _offer(stack, offer(both, "shipped", "s-1", body=b'{"n": 40}'), offer(both, "paid", "p-1", body=b'{"n": 2}'))
    (window,) = await _windows(stack)
    assert window["outcome"] == "fired"
    assert _open_for(window) < timedelta(minutes=1)
    await stack.client.get_workflow_handle(window["delivery"]).result()
    assert [call.body_sha256 for call in stack.sink.calls] == [_sha(42)]


async def test_absence_fires_at_the_end_of_the_window(stack: Stack) -> None:
    """Paid, and nothing shipped within two hours: the action runs then, and not before."""
    chase = spec(PAID_NOT_SHIPPED)
    await _offer(stack, offer(chase, "paid", "p-1"))
    (window,) = await _windows(stack)
    assert window["outcome"] == "fired"
    assert _open_for(window) >= timedelta(hours=2)
    assert window["came"] == ["paid"]
    assert window["delivery"].startswith("chase/")


@pytest.mark.parametrize("order", [("paid", "shipped"), ("shipped", "paid")])
async def test_what_comes_in_time_rules_it_out_in_any_order(stack: Stack, order: tuple[str, str]) -> None:
    """Shipped before paid is shipped all the same: nothing is run, and nothing is a dead letter."""
    chase = spec(PAID_NOT_SHIPPED)
    await _offer(stack, *(offer(chase, name, f"{name}-1") for name in order))
    windows = await _windows(stack)
    assert [window["outcome"] for window in windows] == ["ruled-out"]
    assert await stack.dead_letters() == []


async def test_an_event_that_comes_again_is_taken_once(stack: Stack) -> None:
    """A repeat within the window counts once; one after the window's end opens no other."""
    both = spec(BOTH)
    await _offer(stack, offer(both, "paid", "p-1"), offer(both, "paid", "p-1"), offer(both, "shipped", "s-1"))
    (window,) = await _windows(stack)
    assert (window["outcome"], window["taken"]) == ("fired", 2)
    await _offer(stack, offer(both, "shipped", "s-1"), offer(both, "paid", "p-1"))
    assert await _windows(stack) == []
    assert await stack.dead_letters() == []


async def test_another_event_after_the_decision_opens_another_window(stack: Stack) -> None:
    """A join that fired is armed again: two pairs are two deliveries."""
    both = spec(BOTH)
    for number in (1, 2):
        await _offer(stack, offer(both, "paid", f"p-{number}"), offer(both, "shipped", f"s-{number}"))
    outcomes = [window["outcome"] for window in await _windows(stack)]
    assert set(outcomes) == {"fired"}


@pytest.mark.parametrize(
    ("at_end", "outcome"),
    [({}, "dead-lettered"), ({"at_end": "drop"}, "dropped")],
    ids=["dead_letter", "drop"],
)
async def test_the_end_of_a_window_that_lacks_something(stack: Stack, at_end: dict[str, Any], outcome: str) -> None:
    """By rule: a dead letter with what came, or a record per event; never nothing."""
    both = spec(BOTH | at_end)
    await _offer(stack, offer(both, "paid", "p-1"))
    handle = join(stack.client)
    if outcome == "dead-lettered":
        async with stack.skipping():
            error = await failure(handle)
        assert error.type == "dead_lettered"
        (letter,) = await stack.dead_letters()
        assert (letter.stage, letter.code) == ("join", "join.incomplete")
        assert letter.message == "paid && shipped: after 2h paid came, shipped did not"
        assert letter.envelope is not None
        assert json.loads(letter.envelope.raw_body)["events"]["paid"]["id"] == "p-1"
    else:
        assert [window["outcome"] for window in await _windows(stack)] == ["dropped"]
        (record,) = await unmatched(stack.bus)
        assert (record.event_id, record.trigger, record.sequence) == ("p-1", "chase", 7)
        assert "shipped did not" in record.reason


async def test_the_end_of_a_window_can_run_another_action(stack: Stack) -> None:
    """`otherwise` is run over what came."""
    otherwise = {"http": {"url": stack.sink.url + "/late", "body": "key + events.paid.id"}}
    both = spec(BOTH | {"at_end": "run", "otherwise": otherwise})
    await _offer(stack, offer(both, "paid", "p-1"))
    (window,) = await _windows(stack)
    assert window["outcome"] == "otherwise"
    await stack.client.get_workflow_handle(window["delivery"]).result()
    assert [(call.path, call.body_sha256) for call in stack.sink.calls] == [("/late", _sha("o-1p-1"))]


async def test_late_events_are_recorded_until_the_window_is_over(stack: Stack) -> None:
    """With `late: record` what comes after the firing opens no window and runs nothing."""
    both = spec(BOTH | {"late": "record"})
    await _offer(stack, offer(both, "paid", "p-1"), offer(both, "shipped", "s-1"), offer(both, "paid", "p-2"))
    (window,) = await _windows(stack)
    assert window["outcome"] == "fired"
    (record,) = await unmatched(stack.bus)
    assert (record.event_id, record.reason) == ("p-2", "paid: came after the window had fired")


async def test_the_last_event_of_a_name_counts_or_the_first(stack: Stack) -> None:
    """`keep` chooses among several of one name."""
    for keep, wanted in (("last", "p-2"), ("first", "p-1")):
        part = BOTH["join"]["paid"] | {"keep": keep}
        run = {"http": {"url": f"{stack.sink.url}/{keep}", "body": "events.paid.id"}}
        both = spec(BOTH | {"join": BOTH["join"] | {"paid": part}, "run": run}, trigger=keep)
        events = (("paid", "p-1"), ("paid", "p-2"), ("shipped", "s-1"))
        await _offer(stack, *(offer(both, name, event) for name, event in events))
        (window,) = await _windows(stack, trigger=keep)
        await stack.client.get_workflow_handle(window["delivery"]).result()
        assert stack.sink.calls[-1].body_sha256 == _sha(wanted)


async def test_a_mapping_that_fails_is_a_dead_letter_with_what_came(stack: Stack) -> None:
    """What cannot be computed is recorded, and can be redriven."""
    both = spec(BOTH | {"run": {"log": {"message": "events.paid.data.nope"}}})
    await _offer(stack, offer(both, "paid", "p-1"), offer(both, "shipped", "s-1"))
    error = await failure(join(stack.client))
    assert error.type == "dead_lettered"
    (letter,) = await stack.dead_letters()
    assert (letter.stage, letter.code) == ("join", "mapping.failed")


async def test_an_open_window_says_what_it_waits_for(stack: Stack) -> None:
    """The query names what came, what is awaited, and until when."""
    await _offer(stack, offer(spec(BOTH), "paid", "p-1"))
    handle = join(stack.client)
    view = await _view(stack)
    assert (view.standing, view.came, view.awaited) == ("waiting", {"paid": "shop/p-1"}, ("shipped",))
    assert view.ends_at is not None
    assert view.opened_at is not None
    assert view.ends_at - view.opened_at == timedelta(hours=2)
    description = await handle.describe()
    assert description.status is WorkflowExecutionStatus.RUNNING


async def test_a_cancelled_join_leaves_a_dead_letter(stack: Stack) -> None:
    """Nothing that it held is lost."""
    await _offer(stack, offer(spec(BOTH), "paid", "p-1"))
    handle = join(stack.client)
    await _view(stack)
    await handle.cancel()
    with pytest.raises(WorkflowFailureError) as caught:
        await handle.result()
    assert isinstance(caught.value.cause, CancelledError)
    (letter,) = await stack.dead_letters()
    assert letter.code == "join.cancelled"


async def test_an_offer_that_is_none_is_a_dead_letter_and_the_join_goes_on(stack: Stack) -> None:
    """A signal by hand cannot break a window."""
    both = spec(BOTH)
    await _offer(stack, offer(both, "paid", "p-1"))
    await join(stack.client).signal(names.OFFER, {"no": "offer"})
    await _offer(stack, offer(both, "shipped", "s-1"))
    assert [window["outcome"] for window in await _windows(stack)] == ["fired"]
    (letter,) = await stack.dead_letters()
    assert letter.code == "input.invalid"


async def test_a_window_that_is_full_dead_letters_what_does_not_fit(stack: Stack) -> None:
    """Four hundred kilobytes three times are more than 1 MiB: the third event is its own dead letter."""
    given = {"join": {name: {"on": "shop", "key": "event.subject"} for name in "abc"}, "within": "1m", "at_end": "drop"}
    abc = spec(given | {"run": {"log": {}}})
    body = json.dumps({"x": "y" * 400_000}).encode()
    await _offer(stack, *(offer(abc, name, name, body=body) for name in "abc"))
    assert [window["outcome"] for window in await _windows(stack)] == ["dropped"]
    (letter,) = await stack.dead_letters()
    assert (letter.code, letter.event_id) == ("join.too_large", "c")


async def test_a_history_stays_small(stack: Stack) -> None:
    """A join of two events, from the first to the end, and no more than this."""
    both = spec(BOTH)
    await _offer(stack, offer(both, "paid", "p-1"), offer(both, "shipped", "s-1"))
    await join(stack.client).result()
    assert len(await kinds(join(stack.client))) < 40


async def test_an_event_of_a_join_is_found_by_its_id(stack: Stack) -> None:
    """Its claim bears trigger, source, event id and name, and says which join holds it."""
    both = spec(BOTH)
    await _offer(stack, offer(both, "paid", "p-1"), offer(both, "shipped", "s-1"))
    await join(stack.client).result()
    found = await stack.client.get_workflow_handle(ids.joined_event_id("chase", "shop", "p-1", "paid")).result()
    assert (found["join"], found["name"], found["key"]) == ("join/chase/o-1", "paid", "o-1")


async def test_the_target_of_a_join_fails_like_any_other(stack: Stack) -> None:
    """What the join starts is a delivery: retried, and a dead letter in the end."""
    stack.sink.standing["/x"] = Reply(404)
    both = spec(BOTH | {"run": {"http": {"url": stack.sink.url + "/x"}}})
    await _offer(stack, offer(both, "paid", "p-1"), offer(both, "shipped", "s-1"))
    (window,) = await _windows(stack)
    error = await failure(stack.client.get_workflow_handle(window["delivery"]))
    assert error.type == "dead_lettered"
    (letter,) = await stack.dead_letters()
    assert (letter.id, letter.source) == (window["delivery"], "~join")
