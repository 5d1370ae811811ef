"""How long and how often each command is tried, with the reason for every number.

One owner per retry: a delivery's attempts belong to its trigger's policy, everything else to the policies here.
"""

from datetime import timedelta

from pydantic import ValidationError
from temporalio.common import RetryPolicy as TemporalRetryPolicy

from holdfast.contracts.notifications import NOTIFY_ATTEMPTS
from holdfast.domain.actions import Action, ActivityAction, HttpAction, MessageAction, StepAction
from holdfast.domain.retry import RetryPolicy
from holdfast.domain.runs import ActionConfig

FAILURE_TYPES: list[type[BaseException]] = [
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    ArithmeticError,
    AssertionError,
    RuntimeError,
    ValidationError,
]
"""What a defect in workflow code may raise: it fails the run, visibly, where Temporal's default retries the workflow
task for ever. Not `Exception`: a `NondeterminismError` after a bad deployment must pause runs, not end them."""

FIRST_ATTEMPT_LOCAL = timedelta(
    seconds=10
)  # a workflow task lives 30 s (DeliveryStart); longer attempts would renew it
ATTEMPT_SLACK = timedelta(seconds=2)  # the activity ends itself at the action's timeout and says why; this is the net
NATS_TIMEOUT = timedelta(seconds=5)
PEOPLE_TIMEOUT = timedelta(seconds=15)  # SMTP needs several round trips
UPDATE_AT_MOST = timedelta(minutes=10)
LOG_TIMEOUT = timedelta(seconds=2)
SMALL_CALL = timedelta(seconds=10)  # one publish, one describe: what takes longer is hung

# patches: what running cases of an earlier version do not do
CASES_REPORT = "cases-report"
CASES_GO_ON = "cases-go-on"

FOR_EVER = TemporalRetryPolicy(
    initial_interval=timedelta(seconds=1), backoff_coefficient=2.0, maximum_interval=timedelta(seconds=30)
)
"""For what must not be given up: recording a dead letter, publishing a tick."""

ONCE = TemporalRetryPolicy(maximum_attempts=1)

INSPECT_FIRST = timedelta(seconds=5)  # a child that is picked up at once is never inspected
INSPECT_AT_MOST_EVERY = timedelta(minutes=1)
NOT_RUNNABLE_AFTER = 5  # failed attempts at a child's first workflow task; a deployment in progress mends itself sooner

SETTLE_JOIN = timedelta(seconds=30)  # bodies that lie elsewhere are read, then a delivery is started
CATCH_UP_WITHIN = timedelta(minutes=15)  # how long an absence waits for a dispatcher that lags; then it is concluded
JOIN_HISTORY = 2_000  # events of a run of Join, after which it goes on as a new one; Temporal ends it at 50 Ki
JOIN_BATCH = 50  # events taken at a time; a run may have 2,000 children pending
JOIN_CARRIED = 1_500_000  # bytes handed to the next run; a payload ends at 2 MiB
NOTIFY_ATTEMPT = timedelta(seconds=20)  # above every notifier's own timeout, so that the reason is ours
NOTIFY_GIVE_UP = timedelta(minutes=15)  # also where the other side asks for longer waits; the next tier goes on then
NOTIFY = TemporalRetryPolicy(
    initial_interval=timedelta(seconds=2),
    backoff_coefficient=2.0,
    maximum_interval=timedelta(minutes=1),
    maximum_attempts=NOTIFY_ATTEMPTS,
)

REDRIVE_ANSWER = timedelta(seconds=8)  # how long an Update waits for its redrive to be started; a CLI waits longer
LONGEST_SNOOZE = timedelta(days=366)
LONG_HISTORY = 2_000  # events; the server warns at 10,000 and ends a run at 51,200
REPORT_FOR = timedelta(hours=1)  # an escalation that cannot be told for so long is given up; the case lives on
LOOK_FIRST = timedelta(minutes=1)  # between looks at a trigger that delivers, or whose cases just failed
LOOK_LAST = timedelta(minutes=5)  # between looks at one that stays silent
LONGEST_LOOK = timedelta(hours=1)  # a look that releases thousands of cases at its rate
LOOK_HEARTBEAT = timedelta(seconds=30)
SWEEP_HEARTBEAT = timedelta(minutes=2)  # a sweep says that it lives per run, and one run may cost a few slow calls
REDRIVE_NUMBERS = 50  # ids to step over where an earlier case of the same dead letter already used them
CONFIRM_WITHIN = timedelta(hours=1)  # an operation that nobody confirms ends
SLICE = timedelta(seconds=5)  # of an operation: as long as its pace needs for one slice, so that `pause` acts soon
SLICE_ITEMS = 250  # and never more than these, whatever the pace
LONGEST_SURVEY = timedelta(hours=2)
LONGEST_SLICE = timedelta(minutes=10)  # the activity ends its slice itself after seconds; this is the net
OPERATION_HEARTBEAT = timedelta(seconds=20)  # a worker that died is noticed so soon
TASK_TIMEOUT = timedelta(seconds=30)  # of a delivery's workflow task: three times the longest local attempt

SHOWN_AFTER = timedelta(seconds=5)  # a shorter wait is not worth a search attribute
JOIN_AGAIN = timedelta(minutes=10)  # a delivery that has waited so long asks whether its queue knows it
LOOK_AT_HEAD = timedelta(minutes=1)  # a head that was terminated says nothing
LOOK_AT_CASE = timedelta(seconds=15)
CASE_APPEARS_WITHIN = timedelta(minutes=10)  # a head that failed without a dead letter stops its key no longer
MAX_WAITING = 5_000  # deliveries of one key; the input of a run may be 2 MiB
WATCH_EVERY = timedelta(seconds=30)
WATCH_SOON = timedelta(seconds=5)  # something is suspected, or not all of it was read
WATCH_CALL = timedelta(minutes=2)  # one look at every schedule, a few milliseconds each
WATCH_ROUNDS = 200  # looks per run; each is five events of history


def attempt_timeout(action: Action) -> timedelta:
    """How long one attempt at `action` may take."""
    if isinstance(action, HttpAction | ActivityAction):
        return action.timeout
    if isinstance(action, MessageAction):
        return min(action.within, UPDATE_AT_MOST) if action.how == "update" else SMALL_CALL
    if isinstance(action, StepAction):
        return _configured_timeout(action.run)
    if action.kind in {"slack", "email"}:
        return PEOPLE_TIMEOUT
    if action.kind == "workflow":  # a detached run: one start
        return SMALL_CALL
    return LOG_TIMEOUT if action.kind == "log" else NATS_TIMEOUT


def _configured_timeout(run: ActionConfig) -> timedelta:
    """The same for a step, whose action is resolved only when it is carried out."""
    timed = run.http or run.activity
    if timed is not None:
        return timed.timeout
    update = run.update or run.update_with_start
    if run.slack is not None or run.email is not None:
        return PEOPLE_TIMEOUT
    return min(update.within, UPDATE_AT_MOST) if update is not None else SMALL_CALL


def remaining(policy: RetryPolicy, *, attempts: int) -> TemporalRetryPolicy:
    """Temporal's form of what is left of `policy` after `attempts`; the activity's own waits override the intervals."""
    return TemporalRetryPolicy(
        initial_interval=policy.initial,
        backoff_coefficient=policy.factor,
        maximum_interval=policy.max,
        maximum_attempts=policy.max_attempts - attempts,
    )
