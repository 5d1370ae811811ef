"""Every name that Temporal and its UI know Holdfast by. Stable: recorded histories and people's queries hold them."""

TASK_QUEUE = "holdfast"

# workflow types
EVENT_DELIVERY = "EventDelivery"
DEAD_LETTER = "DeadLetter"
SCHEDULED_EVENT = "ScheduledEvent"
JOIN = "Join"
JOINED_EVENT = "JoinedEvent"
KEY_QUEUE = "KeyQueue"
ESCALATION = "Escalation"
CASE_WATCH = "CaseWatch"
BULK_OPERATION = "BulkOperation"
REPLAY = "Replay"
SWEEP = "Sweep"
CUSTODY = "Custody"
SCHEDULE_WATCH = "ScheduleWatch"
SCHEDULE_WATCH_ID = "holdfast/schedule-watch"

# activities
DELIVER = "deliver"
INSPECT_CHILD = "inspect_child"
TERMINATE_CHILD = "terminate_child"
COUNT_RUN = "count_run"
PREPARE_STEP = "prepare_step"
RECORD_DEAD_LETTER = "record_dead_letter"
PREPARE_REDRIVE = "prepare_redrive"
REPUBLISH = "republish"
PUBLISH_TICK = "publish_tick"
SETTLE_JOIN = "settle_join"
CATCH_UP = "catch_up"
ANNOUNCE = "announce"
ADMIT = "admit"
LEAVE = "leave"
SETTLED_BEFORE = "settled_before"
CLOSED = "closed"
JOIN_QUEUE = "join_queue"

# signals
RELEASE = "release"  # to a delivery that is held: look again now
TURN = "turn"  # to a delivery that stands in a queue: what its queue decided
QUEUE_JOIN = "join"  # to a queue: one more delivery
DONE = "done"  # to a queue: a delivery has ended
SKIP = "skip"  # to a queue, by a person: let what follows go on

# query of a delivery
PROGRESS = "progress"
REPORT_CASE = "report_case"
NOTIFY = "notify"
WATCH_TRIGGER = "watch_trigger"
LOOK_AT_TRIGGER = "look_at_trigger"
SURVEY_OPERATION = "survey_operation"
ADVANCE_OPERATION = "advance_operation"
PLAN_SWEEP = "plan_sweep"
SWEEP_PART = "sweep_part"
TELL_SWEEP = "tell_sweep"
COUNT_CUSTODY = "count_custody"
WATCH_SCHEDULES = "watch_schedules"

# updates and signals of a case (each is both), and its query
ACKNOWLEDGE = "acknowledge"
ASSIGN = "assign"
SNOOZE = "snooze"
COMMENT = "comment"
REDRIVE = "redrive"
DISCARD = "discard"
RECOVERED = "recovered"  # signal: the watch of a trigger has seen that its target answers again
SUPERSEDED = "superseded"  # signal: the watch of a trigger has seen a newer delivery of the same key
CASE = "case"

# signal and query of a join, and what its memo holds
OFFER = "offer"
WINDOW = "window"
MEMO_KEY = "holdfast-key"


# updates of an operation over many things, and its query
CONFIRM = "confirm"
PAUSE = "pause"
RESUME = "resume"
CANCEL = "cancel"
# signal and query of an escalation; it also takes `acknowledge`, as Update and as signal
REPORT = "report"
SHOW_ESCALATION = "escalation"

# search attributes, all Keyword: SQL visibility has ten Keyword slots per namespace, these take eight
SA_SOURCE = "HoldfastSource"
SA_EVENT_ID = "HoldfastEventId"
SA_EVENT_TYPE = "HoldfastEventType"
SA_TRIGGER = "HoldfastTrigger"
SA_STATE = "HoldfastState"  # deliveries: retrying, dead-lettered; cases: see domain/deadletters.py CaseState
SA_ERROR = "HoldfastError"  # the code that made the dead letter
SA_ASSIGNEE = "HoldfastAssignee"  # cases: who has it
# of what the event is: the trigger's `key`, of deliveries that stand in a queue and of the queue; and of deliveries and
# cases of a trigger that tells newer from older
SA_KEY = "HoldfastKey"
SEARCH_ATTRIBUTES = (
    SA_SOURCE,
    SA_EVENT_ID,
    SA_EVENT_TYPE,
    SA_TRIGGER,
    SA_STATE,
    SA_ERROR,
    SA_ASSIGNEE,
    SA_KEY,
)

# deliveries: held back by a limit, a pause, a time or the order of their key, and no attempt is under way;
# joins: a window is open; at its end fired, ruled-out, otherwise, dropped, dead-lettered
STATE_WAITING = "waiting"
STATE_JOINED = "joined"  # an event that a join holds, or held: the join says what came of it
STATE_RETRYING = "retrying"
STATE_DEAD_LETTERED = "dead-lettered"
STATE_BLOCKED = "blocked"  # of a queue: its head is a dead letter that nobody has closed
STATE_SUPERSEDED = "superseded"  # a later event of its key took its place: never sent
STATE_DELIVERED = "delivered"  # set only where it was retrying before: the first success costs no command

# schedules of Holdfast's own housekeeping: not those of holdfast.yaml
SWEEP_SCHEDULE = "holdfast-sweep"
CUSTODY_SCHEDULE = "holdfast-custody"

# memo of the schedules that Holdfast owns
MEMO_OWNER = "holdfast"
# memo of their action, which, unlike the schedule's own, can be changed
MEMO_MAX_RUNS = "holdfast-max-runs"  # the number that the remaining runs were counted from
MEMO_COUNTED_SINCE = "holdfast-counted-since"  # stop_when counts ticks after this time

# memo of a delivery that was made anew from the stream: the operation, and the delivery it repeats
MEMO_REPLAY = "holdfast-replay"
MEMO_REPLAY_OF = "holdfast-replay-of"

# memo of every delivery that came from the bus: `{stream}/{sequence}`; the only trace of an event whose stream forgets
MEMO_PLACE = "holdfast-place"
