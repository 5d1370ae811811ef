"""Parsers of what people write: cron expressions, times on the command line, cursors, notifiers, escalations."""

from datetime import timedelta
from typing import Any

from hypothesis import strategies as st
from pydantic import ValidationError

from activities import publish
from activities.notifiers import documents as written
from holdfast.cli import case_moves, schedules, sweep
from holdfast.cli.case_selection import rate_of
from holdfast.cli.moments import moment_of
from holdfast.contracts.notifications import Notification
from holdfast.contracts.scheduled import ScheduledInput
from holdfast.domain import crons, zones
from holdfast.domain.escalations import EscalationConfig, QuietConfig
from holdfast.domain.notifiers import NotifierConfig
from holdfast.temporal.case_list import Cursor
from tests.property.foreign import NOW, data, records, text
from tests.property.fuzzing import Parser

expressions = (
    text
    | st.text("0123456789*/,-? LW#@JANMO", max_size=25)
    | st.builds(
        " ".join, st.lists(st.sampled_from(["*", "0", "*/7", "1-5", "MON", "31", "99", "5-1", "x"]), max_size=7)
    )
    | st.sampled_from(["@daily", "@every 1h", "@every 9999999999999h", "TZ=Nowhere 0 0 * * *", "CRON_TZ=UTC 0 0 * * 7"])
)
moments = text | st.sampled_from(
    ["2h", "99999999999d", "2026-11-20T08:00:00Z", "0001-01-01", "9999-12-31T23:59:59-23:59"]
)

NOTICE = Notification(
    id="a", notifier="n", about="alarm", escalation="e", group="g", incident="i", workflow_id="w", at=NOW, since=NOW
)


def ticked(timezone: str) -> dict[str, Any]:
    """Show a tick to an expression, in a time zone that somebody wrote into a schedule by hand."""
    return publish.tick_view(ScheduledInput(timezone=timezone), NOW)


WORDS: dict[str, Parser] = {
    "cron": Parser(("holdfast.domain.crons",), crons.parse_cron, expressions, (ValueError,)),
    "Argo's cron": Parser(("holdfast.domain.crons",), crons.argo_cron, expressions, (ValueError,)),
    "time zone": Parser(
        ("holdfast.domain.zones",), lambda name: zones.zone_table(name, NOW), text, (KeyError, ValueError, OSError)
    ),
    "time zone of a tick": Parser(("activities.publish",), ticked, text),
    "--since": Parser(("holdfast.cli.moments",), lambda given: moment_of("--since", given, NOW), moments),
    "--rate": Parser(("holdfast.cli.case_selection",), rate_of, text),
    "--until": Parser(("holdfast.cli.case_moves",), case_moves._until, moments),
    "--since of a sweep": Parser(("holdfast.cli.sweep",), sweep.moment, moments),
    "--start": Parser(("holdfast.cli.schedules",), schedules._moment, moments),
    "--after": Parser(("holdfast.temporal.case_list",), Cursor.decode, text | st.text("ABCabc012=-_", max_size=40)),
    "quiet hours": Parser(
        ("holdfast.domain.escalations",),
        QuietConfig.model_validate,
        records("from", "to", "timezone", "days"),
        (ValidationError,),
    ),
    "escalation": Parser(
        ("holdfast.domain.escalations",),
        EscalationConfig.model_validate,
        data | records("tiers", "quiet", "group_by", "group_wait", "reopen_after", "recovered"),
        (ValidationError,),
    ),
    "notifier": Parser(
        ("holdfast.domain.notifiers",),
        NotifierConfig.model_validate,
        data | records("slack", "teams", "pagerduty", "opsgenie", "webhook", "email", "nats", "log"),
        (ValidationError,),
    ),
    "secret of a notifier": Parser(
        ("activities.notifiers.documents",),
        lambda secret: written.signature_headers(secret, NOTICE, b"{}", NOW + timedelta(seconds=1)),
        st.text("whsec_=+/aZ9 é", max_size=60),
        (),
    ),
}
