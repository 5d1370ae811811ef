"""The only file that issues commands: one typed function each, with its timeouts; nothing here decides.

A change to a command (its kind, its order, its id) breaks running workflows: guard it with `workflow.patched`.
"""

import contextlib
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, NoReturn, TypeVar

from pydantic import BaseModel
from temporalio import workflow
from temporalio.common import (
    SearchAttributeKey,
    SearchAttributePair,
    TypedSearchAttributes,
    WorkflowIDReusePolicy,
)
from temporalio.exceptions import FailureError
from temporalio.workflow import (
    ChildWorkflowCancellationType,
    ChildWorkflowHandle,
    ParentClosePolicy,
)

from holdfast.contracts import names
from holdfast.contracts.case_watch import LookInput, LookResult, WatchTriggerInput
from holdfast.contracts.dead_letter import (
    DeadLetterRecord,
    PrepareRedriveInput,
    PrepareRedriveResult,
    RepublishInput,
    StoredDeadLetter,
)
from holdfast.contracts.delivery import (
    CountRunInput,
    DeliverInput,
    DeliverResult,
    DeliveryInput,
    DeliveryResult,
    InspectChildInput,
    InspectChildResult,
    PreparedStep,
    TerminateChildInput,
)
from holdfast.contracts.escalations import CaseNotice, ReportedCase
from holdfast.contracts.news import Ended
from holdfast.contracts.notifications import Notification, NotifyResult
from holdfast.contracts.operations import SliceInput, SliceResult, Survey, SurveyInput
from holdfast.contracts.schedule_watch import WatchState
from holdfast.contracts.scheduled import PublishTickInput, ScheduledResult
from holdfast.domain.actions import SearchAttribute, WorkflowAction
from holdfast.domain.events import Envelope
from holdfast.domain.retry import RetryPolicy
from workflows import policies

Child = ChildWorkflowHandle[Any, Any]
Result = TypeVar("Result")


async def first_attempt(given: DeliverInput, *, local: bool) -> DeliverResult:
    """Make one attempt: local where it is short (no round trips), else regular. Raises FailureError."""
    within = policies.attempt_timeout(given.spec.action) + policies.ATTEMPT_SLACK
    result: DeliverResult
    if local:
        result = await workflow.execute_local_activity(
            names.DELIVER,
            given,
            result_type=DeliverResult,
            start_to_close_timeout=within,
            retry_policy=policies.ONCE,
        )
    else:
        result = await workflow.execute_activity(
            names.DELIVER,
            given,
            result_type=DeliverResult,
            start_to_close_timeout=within,
            retry_policy=policies.ONCE,
            summary=given.spec.action.target[:200],
        )
    return result


async def further_attempts(given: DeliverInput, *, give_up_in: timedelta) -> DeliverResult:
    """Make the remaining attempts as one regular activity, whose retries the UI shows. Raises ActivityError."""
    result: DeliverResult = await workflow.execute_activity(
        names.DELIVER,
        given,
        result_type=DeliverResult,
        start_to_close_timeout=policies.attempt_timeout(given.spec.action) + policies.ATTEMPT_SLACK,
        schedule_to_close_timeout=give_up_in,
        retry_policy=policies.remaining(given.spec.retry, attempts=given.prior_attempts),
        summary=given.spec.action.target[:200],
    )
    return result


async def record_dead_letter(record: DeadLetterRecord) -> StoredDeadLetter:
    """Store a dead letter; tried for ever, because a failure that is recorded nowhere is a lost event."""
    return await _small(names.RECORD_DEAD_LETTER, record, StoredDeadLetter)


async def publish_tick(given: PublishTickInput) -> ScheduledResult:
    """Publish a schedule's event; tried for ever, its id makes that safe. Raises ActivityError where it cannot be."""
    return await _small(names.PUBLISH_TICK, given, ScheduledResult)


async def watch_schedules(given: WatchState) -> WatchState:
    """Look at every schedule once; tried for ever."""
    done: WatchState = await workflow.execute_activity(
        names.WATCH_SCHEDULES,
        given,
        result_type=WatchState,
        start_to_close_timeout=policies.WATCH_CALL,
        retry_policy=policies.FOR_EVER,
    )
    return done


async def prepare_redrive(given: PrepareRedriveInput) -> PrepareRedriveResult:
    """Decide anew what a dead letter's event should do. Raises ActivityError where that fails for good."""
    return await _small(names.PREPARE_REDRIVE, given, PrepareRedriveResult)


async def republish(given: RepublishInput) -> None:
    """Put what was no event back on the bus. Raises ActivityError where that fails for good."""
    await workflow.execute_activity(
        names.REPUBLISH, given, start_to_close_timeout=policies.SMALL_CALL, retry_policy=policies.FOR_EVER
    )


async def report_case(notice: CaseNotice) -> ReportedCase:
    """Tell the escalation what happened to a case. Raises ActivityError when it cannot be told for REPORT_FOR."""
    told: ReportedCase = await workflow.execute_activity(
        names.REPORT_CASE,
        notice,
        result_type=ReportedCase,
        start_to_close_timeout=policies.SMALL_CALL,
        schedule_to_close_timeout=policies.REPORT_FOR,
        retry_policy=policies.FOR_EVER,
        summary=notice.change,
    )
    return told


async def watch_trigger(given: WatchTriggerInput) -> None:
    """Enter a case into the watch of its trigger; a watch that runs already goes on."""
    await workflow.execute_activity(
        names.WATCH_TRIGGER,
        given,
        start_to_close_timeout=policies.SMALL_CALL,
        retry_policy=policies.FOR_EVER,
    )


async def look_at_trigger(given: LookInput) -> LookResult:
    """Look once what a trigger delivered lately, and tell its cases."""
    found: LookResult = await workflow.execute_activity(
        names.LOOK_AT_TRIGGER,
        given,
        result_type=LookResult,
        start_to_close_timeout=policies.LONGEST_LOOK,
        heartbeat_timeout=policies.LOOK_HEARTBEAT,
        retry_policy=policies.FOR_EVER,
    )
    return found


async def survey_operation(given: SurveyInput) -> Survey:
    """Count what an operation means. Raises ActivityError where its selection makes no sense."""
    found: Survey = await workflow.execute_activity(
        names.SURVEY_OPERATION,
        given,
        result_type=Survey,
        start_to_close_timeout=policies.LONGEST_SURVEY,
        heartbeat_timeout=policies.OPERATION_HEARTBEAT,
        retry_policy=policies.FOR_EVER,
    )
    return found


async def advance_operation(given: SliceInput) -> SliceResult:
    """Do the next items of an operation. Raises ActivityError where its selection makes no sense."""
    did: SliceResult = await workflow.execute_activity(
        names.ADVANCE_OPERATION,
        given,
        result_type=SliceResult,
        start_to_close_timeout=policies.LONGEST_SLICE,
        heartbeat_timeout=policies.OPERATION_HEARTBEAT,
        retry_policy=policies.FOR_EVER,
    )
    return did


async def inspect_child(workflow_id: str) -> InspectChildResult:
    """Look whether a child has begun."""
    return await _small(names.INSPECT_CHILD, InspectChildInput(workflow_id=workflow_id), InspectChildResult)


async def terminate_child(workflow_id: str, reason: str) -> None:
    """Terminate a child that cannot run; one that is closed already is left."""
    await workflow.execute_activity(
        names.TERMINATE_CHILD,
        TerminateChildInput(workflow_id=workflow_id, reason=reason),
        start_to_close_timeout=policies.SMALL_CALL,
        retry_policy=policies.FOR_EVER,
    )


async def count_run(given: CountRunInput) -> None:
    """Count a supervised run that ended well; a count that fails is not worth a delivery."""
    with contextlib.suppress(FailureError):
        await workflow.execute_local_activity(
            names.COUNT_RUN, given, start_to_close_timeout=policies.SMALL_CALL, retry_policy=policies.ONCE
        )


async def announce(given: Ended) -> None:
    """Tell whoever waits how this delivery ended; a word that does not get through is worth no delivery."""
    with contextlib.suppress(FailureError):
        await workflow.execute_local_activity(
            names.ANNOUNCE, given, start_to_close_timeout=policies.SMALL_CALL, retry_policy=policies.ONCE
        )


async def notify(given: Notification) -> NotifyResult:
    """Tell one notifier; tried for some minutes. Raises ActivityError where it could not be told."""
    result: NotifyResult = await workflow.execute_activity(
        names.NOTIFY,
        given,
        result_type=NotifyResult,
        start_to_close_timeout=policies.NOTIFY_ATTEMPT,
        schedule_to_close_timeout=policies.NOTIFY_GIVE_UP,
        retry_policy=policies.NOTIFY,
        summary=f"{given.about}: {given.notifier}"[:200],
    )
    return result


async def prepare_step(given: DeliverInput) -> PreparedStep:
    """Resolve a step that runs a workflow of the user's own. Raises ActivityError where its mappings fail."""
    return await _small(names.PREPARE_STEP, given, PreparedStep)


async def _small(activity: str, given: Any, result: type[Result]) -> Result:
    done: Result = await workflow.execute_activity(
        activity,
        given,
        result_type=result,
        start_to_close_timeout=policies.SMALL_CALL,
        retry_policy=policies.FOR_EVER,
    )
    return done


async def start_run(
    action: WorkflowAction, retry: RetryPolicy, *, workflow_id: str, event: Envelope, trigger: str
) -> Child:
    """Start the user's own workflow. Raises WorkflowAlreadyStartedError."""
    return await workflow.start_child_workflow(
        action.workflow,
        args=list(action.args),
        id=workflow_id,
        task_queue=action.task_queue,
        execution_timeout=action.timeout,
        # an id of the user's own is free again after a failure, or no redrive could ever succeed
        id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE
        if action.id is None
        else WorkflowIDReusePolicy.ALLOW_DUPLICATE_FAILED_ONLY,
        parent_close_policy=ParentClosePolicy.REQUEST_CANCEL,
        retry_policy=policies.remaining(retry, attempts=0),
        search_attributes=TypedSearchAttributes(
            [
                *attributes(source=event.source, event_id=event.id, event_type=event.type, trigger=trigger),
                *(_pair(one) for one in action.search_attributes),
            ]
        ),
        static_summary=f"{event.source} {event.type} → {action.workflow}"[:200],
    )


async def start_redrive(given: DeliveryInput, *, workflow_id: str) -> Child:
    """Start a delivery again, outliving the case that asked. Raises WorkflowAlreadyStartedError."""
    event, trigger = given.envelope, given.spec.trigger
    return await workflow.start_child_workflow(
        names.EVENT_DELIVERY,
        given,
        result_type=DeliveryResult,
        id=workflow_id,
        task_queue=names.TASK_QUEUE,
        task_timeout=policies.TASK_TIMEOUT,
        id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
        parent_close_policy=ParentClosePolicy.ABANDON,
        cancellation_type=ChildWorkflowCancellationType.ABANDON,
        search_attributes=attributes(
            source=event.source, event_id=event.id, event_type=event.type, trigger=trigger, key=given.spec.key
        ),
        static_summary=f"{event.source} {event.type} → {trigger} (redrive {given.redrive and given.redrive.number})"[
            :200
        ],
    )


async def pause(wait: timedelta) -> None:
    """Wait, durably."""
    await workflow.sleep(wait)


async def until(condition: Callable[[], bool], *, within: timedelta | None = None) -> bool:
    """Wait until `condition` holds; False where `within` passed first."""
    try:
        await workflow.wait_condition(condition, timeout=within)
    except TimeoutError:
        return False
    return True


def mark(
    *,
    state: str | None = None,
    error: str | None = None,
    assignee: str | None = None,
    missing: dict[str, str] | None = None,
) -> None:
    """Set search attributes: one upsert, so one history event."""
    wanted = {**(missing or {})}
    if state is not None:
        wanted[names.SA_STATE] = state
    if error is not None:
        wanted[names.SA_ERROR] = error
    if assignee is not None:
        wanted[names.SA_ASSIGNEE] = assignee
    workflow.upsert_search_attributes(
        [SearchAttributeKey.for_keyword(name).value_set(value) for name, value in wanted.items()]
    )


def attributes(
    *, source: str, event_id: str, event_type: str, trigger: str, key: str | None = None
) -> TypedSearchAttributes:
    """Search attributes of everything that belongs to one event; empty ones are left out."""
    values = {
        names.SA_SOURCE: source,
        names.SA_EVENT_ID: event_id,
        names.SA_EVENT_TYPE: event_type,
        names.SA_TRIGGER: trigger,
        names.SA_KEY: key,
    }
    return TypedSearchAttributes(
        [SearchAttributePair(SearchAttributeKey.for_keyword(name), value) for name, value in values.items() if value]
    )


def _pair(attribute: SearchAttribute) -> SearchAttributePair[Any]:
    key: Any = {
        "keyword": SearchAttributeKey.for_keyword,
        "text": SearchAttributeKey.for_text,
        "int": SearchAttributeKey.for_int,
        "double": SearchAttributeKey.for_float,
        "bool": SearchAttributeKey.for_bool,
        "datetime": SearchAttributeKey.for_datetime,
        "keyword_list": SearchAttributeKey.for_keyword_list,
    }[attribute.type](attribute.name)
    value: Any = attribute.value
    if attribute.type == "datetime":
        value = datetime.fromisoformat(str(value))
    return SearchAttributePair(key, list(value) if isinstance(value, tuple) else value)


def tell(details: str) -> None:
    """Set what the UI shows as current details, markdown; costs no history event."""
    workflow.set_current_details(details)


def patched(change: str) -> bool:
    """Whether this run does what earlier versions did not; recorded in its history."""
    return workflow.patched(change)


def crowded() -> bool:
    """Whether the history is so long that it is time for a new run; the server asks for one by size."""
    info = workflow.info()
    return info.is_continue_as_new_suggested() or info.get_current_history_length() > policies.LONG_HISTORY


def go_on(given: BaseModel) -> NoReturn:
    """Go on in a new run, with all that is known."""
    workflow.continue_as_new(given)


def cancel_requested() -> bool:
    """Whether somebody asked to cancel this very run, as against one of its children."""
    return workflow.cancellation_reason() is not None
