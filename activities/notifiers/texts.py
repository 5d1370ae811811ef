"""What people read in a notification: a title, the facts, the cases, the commands that help. Plain, bounded."""

from dataclasses import dataclass
from urllib.parse import quote

from holdfast.clock import rfc3339
from holdfast.contracts.notifications import Notification
from holdfast.domain.incidents import Sample
from holdfast.errors import bounded

TITLE = 200  # characters; a phone shows fewer


@dataclass(frozen=True, slots=True)
class Text:
    """One notification for people: every part is one line without markup; `link` leads to the Temporal UI."""

    title: str
    facts: tuple[tuple[str, str], ...]
    cases: tuple[str, ...]
    commands: tuple[str, ...]
    link: str

    @property
    def lines(self) -> list[str]:
        """All of it, for mail and logs."""
        lines = [self.title, "", *(f"{name}: {value}" for name, value in self.facts)]
        if self.cases:
            lines += ["", "Cases:", *(f"- {case}" for case in self.cases)]
        if self.commands:
            lines += ["", "What can be done:", *(f"  {command}" for command in self.commands)]
        return [*lines, "", self.link]


@dataclass(frozen=True, slots=True)
class Links:
    """Where the Temporal UI is."""

    ui: str
    namespace: str

    def workflow(self, workflow_id: str) -> str:
        """Return the address of a workflow."""
        return (
            f"{self.ui.rstrip('/')}/namespaces/{quote(self.namespace, safe='')}/workflows/{quote(workflow_id, safe='')}"
        )


def text_of(given: Notification, links: Links) -> Text:
    """Write a notification for people."""
    subject = _subject(given)
    failures = f"{given.failures} failure{'s' * (given.failures != 1)}"
    match given.about:
        case "alarm":
            again = f" (reminder {given.times - 1})" if given.times > 1 else ""
            title = f"{failures} of {subject}{again}: {given.waiting} not acknowledged"
        case "acknowledged":
            title = f"Acknowledged by {given.by}: {failures} of {subject}"
        case "recovered":
            title = f"Recovered: {subject}, after {failures}"
        case "test":
            title = f"Test of the notifier {given.notifier}: this is how Holdfast tells of failures"
    facts = [
        ("what", subject),
        ("since", rfc3339(given.since)),
        ("open", f"{given.open}, {given.waiting} not acknowledged"),
    ]
    if given.codes:
        facts.append(("errors", ", ".join(f"{code}: {count}" for code, count in given.codes.items())))
    if given.samples and given.about in {"alarm", "test"}:
        last = given.samples[-1]
        facts.append(("last error", f"{last.code}: {last.message}"))
    facts.append(("escalation", f"{given.escalation}, tier {given.tier}" if given.tier else given.escalation))
    alarm = given.about == "alarm"
    return Text(
        title=_line(title, TITLE),
        facts=tuple((name, _line(value)) for name, value in facts),
        cases=tuple(_case(one) for one in given.samples) if alarm else (),
        commands=_commands(given) if alarm else (),
        link=links.workflow(given.workflow_id),
    )


def _subject(given: Notification) -> str:
    if given.trigger:
        return f"trigger {given.trigger}"
    if given.source:
        return f"source {given.source}" + (f" (stage {given.stage})" if given.group.startswith("stray/") else "")
    return given.group


def _case(one: Sample) -> str:
    event = " ".join(part for part in (one.source, one.event_type, one.event_id) if part)
    return _line(f"{rfc3339(one.at)} {one.code} {event} [{one.case}]", 400)


def _commands(given: Notification) -> tuple[str, ...]:
    commands = [f"holdfast escalations acknowledge {_quoted(given.workflow_id)}"]
    if given.samples:
        case = given.samples[-1].case.removeprefix("dead-letter/")
        commands += [f"holdfast dead-letters show {_quoted(case)}", f"holdfast dead-letters redrive {_quoted(case)}"]
    if given.trigger:
        commands.append(f"holdfast dead-letters list --trigger {_quoted(given.trigger)}")
    return tuple(_line(command, 600) for command in commands)


def _quoted(value: str) -> str:
    """Quote for a shell: ids may hold anything, and people paste this."""
    return "'" + value.replace("'", "'\\''") + "'"


def _line(text: str, limit: int = 300) -> str:
    """Put `text` on one line of printable characters."""
    return bounded(" ".join("".join(ch if ch.isprintable() else " " for ch in text).split()), limit)
