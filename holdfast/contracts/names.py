"""Every name that Temporal and its UI know Holdfast by. Stable: recorded histories and people's queries hold them."""

TASK_QUEUE = "holdfast"

# workflow types
EVENT_DELIVERY = "EventDelivery"
DEAD_LETTER = "DeadLetter"
SCHEDULED_EVENT = "ScheduledEvent"
JOIN = "Join"
JOINED_EVENT = "JoinedEvent"

# activities
DELIVER = "deliver"
INSPECT_CHILD = "inspect_child"
TERMINATE_CHILD = "terminate_child"
COUNT_RUN = "count_run"
RECORD_DEAD_LETTER = "record_dead_letter"
PREPARE_REDRIVE = "prepare_redrive"
REPUBLISH = "republish"
PUBLISH_TICK = "publish_tick"
SETTLE_JOIN = "settle_join"
CATCH_UP = "catch_up"
ANNOUNCE = "announce"

# query of a delivery
PROGRESS = "progress"

# updates and queries of a case
ACKNOWLEDGE = "acknowledge"
REDRIVE = "redrive"
DISCARD = "discard"
CASE = "case"

# signal and query of a join, and what its memo holds
OFFER = "offer"
WINDOW = "window"
MEMO_KEY = "holdfast-key"

# search attributes, all Keyword: SQL visibility has ten Keyword slots per namespace, these take six
SA_SOURCE = "HoldfastSource"
SA_EVENT_ID = "HoldfastEventId"
SA_EVENT_TYPE = "HoldfastEventType"
SA_TRIGGER = "HoldfastTrigger"
SA_STATE = "HoldfastState"  # deliveries: retrying, dead-lettered; cases: see domain/deadletters.py CaseState
SA_ERROR = "HoldfastError"  # the code that made the dead letter
SEARCH_ATTRIBUTES = (SA_SOURCE, SA_EVENT_ID, SA_EVENT_TYPE, SA_TRIGGER, SA_STATE, SA_ERROR)

STATE_WAITING = "waiting"  # joins: a window is open; at its end fired, ruled-out, otherwise, dropped, dead-lettered
STATE_RETRYING = "retrying"
STATE_DEAD_LETTERED = "dead-lettered"
STATE_DELIVERED = "delivered"  # set only where it was retrying before: the first success costs no command

# memo of the schedules that Holdfast owns
MEMO_OWNER = "holdfast"
MEMO_HASH = "holdfast-hash"
