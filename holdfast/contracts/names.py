"""Every name that Temporal and its UI know Holdfast by. Stable: recorded histories and people's queries hold them."""

TASK_QUEUE = "holdfast"

# workflow types
EVENT_DELIVERY = "EventDelivery"
DEAD_LETTER = "DeadLetter"
SCHEDULED_EVENT = "ScheduledEvent"
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
RECORD_DEAD_LETTER = "record_dead_letter"
PREPARE_REDRIVE = "prepare_redrive"
REPUBLISH = "republish"
PUBLISH_TICK = "publish_tick"
ANNOUNCE = "announce"

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

# updates of an operation over many things, and its query
CONFIRM = "confirm"
PAUSE = "pause"
RESUME = "resume"
CANCEL = "cancel"
PROGRESS = "progress"
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
SA_KEY = "HoldfastKey"  # deliveries and cases of a trigger that tells newer from older: of what the event is
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

STATE_RETRYING = "retrying"
STATE_DEAD_LETTERED = "dead-lettered"
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
