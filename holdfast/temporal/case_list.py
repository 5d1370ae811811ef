"""Cases by the thousand: pages of what visibility knows, filtered, counted, in memory that does not grow.

For the command line, bulk operations and metrics. A record whose case is not started yet is not here: it is in the
backlog of the escalator's consumer, which `dead-letters list` names beside the list.
"""

import asyncio
import base64
import binascii
import contextlib
import json
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from temporalio.api.workflow.v1 import WorkflowExecutionInfo
from temporalio.api.workflowservice.v1 import ListWorkflowExecutionsRequest, ListWorkflowExecutionsResponse
from temporalio.client import Client

from holdfast import ids
from holdfast.clock import rfc3339
from holdfast.contracts import names
from holdfast.domain.deadletters import CaseState
from holdfast.domain.expressions import Absent, Expression, Failed, Found, Language
from holdfast.errors import ErrorCode, RejectedInput
from holdfast.temporal.connect import bounded_call

OPEN = f"WorkflowType = '{names.DEAD_LETTER}' AND ExecutionStatus = 'Running'"
ALL = f"WorkflowType = '{names.DEAD_LETTER}'"
PAGE = 1_000  # cases fetched at a time, the most that Temporal gives: some 600 KB


@dataclass(frozen=True, slots=True)
class CaseFilter:
    """Which cases; None means any. `only_open` leaves out those that are resolved, discarded or expired."""

    only_open: bool = True
    source: str | None = None
    trigger: str | None = None
    event_id: str | None = None
    error: str | None = None
    state: str | None = None
    assignee: str | None = None
    since: datetime | None = None

    @property
    def query(self) -> str:
        """The visibility query, which also works in the Temporal UI and in `temporal workflow list --query`."""
        parts = [OPEN if self.only_open else ALL]
        for name, value in (
            (names.SA_SOURCE, self.source),
            (names.SA_TRIGGER, self.trigger),
            (names.SA_EVENT_ID, self.event_id),
            (names.SA_ERROR, self.error),
            (names.SA_STATE, self.state),
            (names.SA_ASSIGNEE, self.assignee),
        ):
            if value is not None:
                parts.append(f"{name} = {quoted(value)}")
        if self.since is not None:
            parts.append(f"StartTime >= '{self.since.isoformat()}'")
        return " AND ".join(parts)


@dataclass(frozen=True, slots=True)
class CaseSummary:
    """One line of the list. Visibility lags by a moment; `show_case` does not."""

    workflow_id: str
    run_id: str
    state: str
    source: str
    event_id: str
    event_type: str
    trigger: str
    error: str
    assignee: str
    opened_at: datetime
    closed_at: datetime | None

    @property
    def dead_letter_id(self) -> str:
        """Id of the dead letter: what `show_case` and the moves take."""
        return self.workflow_id.removeprefix(ids.case_id(""))

    def plain(self) -> dict[str, Any]:
        """As JSON data: what `--json` prints and what an expression sees as `case`."""
        return {
            "id": self.dead_letter_id,
            "workflow_id": self.workflow_id,
            "state": self.state,
            "source": self.source,
            "event_id": self.event_id,
            "event_type": self.event_type,
            "trigger": self.trigger,
            "error": self.error,
            "assignee": self.assignee,
            "opened_at": rfc3339(self.opened_at),
            "closed_at": rfc3339(self.closed_at) if self.closed_at else None,
        }


class Where:
    """A CEL expression over `case`: the fields of `CaseSummary.plain`, and `case.age`, like "7200s"."""

    def __init__(self, source: str) -> None:
        """Compile. Raises RejectedInput `config.invalid`."""
        self._language = Language("case")
        self._expression: Expression = self._language.compile(source)
        if self._expression.returns not in {"BOOL", "DYN"}:
            raise RejectedInput(
                ErrorCode.INPUT_INVALID,
                f"--where is {self._expression.returns.lower()}; it must be true or false for a case",
            )

    def takes(self, case: CaseSummary) -> bool:
        """Whether the case is meant. Raises RejectedInput `input.invalid` where that cannot be said."""
        age = int((datetime.now(UTC) - case.opened_at).total_seconds())
        match self._expression.evaluate(self._language.bind(case=case.plain() | {"age": f"{age}s"})):
            case Found(bool(value)):
                return value
            case Found(value):
                raise RejectedInput(
                    ErrorCode.INPUT_INVALID, f"--where gave {type(value).__name__} for {case.dead_letter_id}"
                )
            case Absent(reason) | Failed(reason):
                raise RejectedInput(ErrorCode.INPUT_INVALID, f"--where on {case.dead_letter_id}: {reason}")


@dataclass(frozen=True, slots=True)
class Cursor:
    """A place in the list: the page of visibility, and how many of it were seen."""

    token: bytes | None = None
    seen: int = 0

    def encode(self) -> str:
        """As text for `--after`."""
        token = base64.b64encode(self.token).decode("ascii") if self.token else None
        return base64.urlsafe_b64encode(json.dumps([token, self.seen]).encode()).decode("ascii")

    @classmethod
    def decode(cls, text: str) -> "Cursor":
        """Read `encode`'s text. Raises RejectedInput `input.invalid`."""
        try:
            token, seen = json.loads(base64.urlsafe_b64decode(text.encode("ascii")))
            return cls(base64.b64decode(token) if token else None, int(seen))
        except (ValueError, TypeError, binascii.Error) as error:
            raise RejectedInput(ErrorCode.INPUT_INVALID, "--after: not what `dead-letters list` printed") from error


async def each_case(
    client: Client, wanted: CaseFilter, *, where: Where | None = None, start: Cursor | None = None, page: int = PAGE
) -> AsyncGenerator[tuple[CaseSummary, Cursor], None]:
    """Yield every case with the place behind it, the newest first. Raises Unavailable.

    Two pages are in memory: the next is asked for while one is looked at. Who wants few gives a small `page`.
    """
    start = start or Cursor()
    token, skip = start.token, start.seen
    coming = asyncio.ensure_future(_page(client, wanted, token, page))
    try:
        while True:
            found = await coming
            if found.next_page_token:
                coming = asyncio.ensure_future(_page(client, wanted, found.next_page_token, page))
            for number, run in enumerate(found.executions):
                if number < skip:
                    continue
                summary = summary_of(run)
                if where is None or where.takes(summary):
                    yield summary, Cursor(token, number + 1)
            # a place found with larger pages may lie behind this one
            token, skip = found.next_page_token, max(0, skip - len(found.executions))
            if not token:
                return
    finally:
        coming.cancel()
        await asyncio.gather(coming, return_exceptions=True)


async def _page(client: Client, wanted: CaseFilter, token: bytes | None, size: int) -> ListWorkflowExecutionsResponse:
    # the client's own iterator decodes every attribute twice, which is most of our time of a long list
    request = ListWorkflowExecutionsRequest(
        namespace=client.namespace, page_size=min(size, PAGE), next_page_token=token or b"", query=wanted.query
    )
    return await bounded_call(client.workflow_service.list_workflow_executions(request, retry=True))


async def list_cases(client: Client, wanted: CaseFilter, *, limit: int = 100) -> list[CaseSummary]:
    """Return at most `limit` cases, the newest first. Raises Unavailable."""
    found: list[CaseSummary] = []
    async with contextlib.aclosing(each_case(client, wanted, page=limit)) as each:
        async for summary, _ in each:
            found.append(summary)
            if len(found) == limit:
                break
    return found


async def count_cases(client: Client, wanted: CaseFilter) -> int:
    """Return how many there are. Raises Unavailable."""
    return (await bounded_call(client.count_workflows(wanted.query))).count


async def count_states(client: Client, wanted: CaseFilter) -> dict[CaseState, int]:
    """Return how many there are in each state; one query each. Raises Unavailable."""
    counted = {}
    for state in CaseState:
        query = f"{wanted.query} AND {names.SA_STATE} = {quoted(state)}"
        counted[state] = (await bounded_call(client.count_workflows(query))).count
    return counted


async def count_open(client: Client) -> int:
    """Return how many cases wait for somebody. Raises Unavailable."""
    return await count_cases(client, CaseFilter())


def quoted(value: str) -> str:
    """Quote a value for a visibility query."""
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _text(data: bytes) -> str:
    """Read a JSON string, fast where nothing in it is escaped: a long list is some hundred thousand of them."""
    if data[:1] == b'"' and b"\\" not in data:
        return data[1:-1].decode()
    return str(json.loads(data) or "")


def summary_of(run: WorkflowExecutionInfo) -> CaseSummary:
    """Return one execution, as visibility lists it, as a line."""
    fields = run.search_attributes.indexed_fields

    def attribute(name: str) -> str:
        return _text(fields[name].data) if name in fields else ""

    return CaseSummary(
        workflow_id=run.execution.workflow_id,
        run_id=run.execution.run_id,
        state=attribute(names.SA_STATE),
        source=attribute(names.SA_SOURCE),
        event_id=attribute(names.SA_EVENT_ID),
        event_type=attribute(names.SA_EVENT_TYPE),
        trigger=attribute(names.SA_TRIGGER),
        error=attribute(names.SA_ERROR),
        assignee=attribute(names.SA_ASSIGNEE),
        opened_at=run.start_time.ToDatetime(UTC),
        closed_at=run.close_time.ToDatetime(UTC) if run.HasField("close_time") else None,
    )
