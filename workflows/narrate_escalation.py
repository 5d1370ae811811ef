"""What people read in the Temporal UI of an escalation: where it stands, who was told when, what comes next."""

from holdfast.clock import rfc3339
from holdfast.contracts import names
from holdfast.contracts.escalation_runs import EscalationView
from holdfast.errors import bounded

ROWS = 25
YOU = """--input '{"by": "you"}'"""


def escalation(view: EscalationView) -> str:
    """Show a whole group, markdown."""
    said = f"{view.failures} failure{'s' * (view.failures != 1)}"
    lines = [
        f"### {view.state.upper()}: {said} of {_line(view.group)}",
        f"- open: {view.open}, of which {view.waiting} wait for somebody",
    ]
    if view.since is not None:
        lines.append(f"- since: {rfc3339(view.since)} (incident {view.incident})")
    if view.codes:
        lines.append("- errors: " + ", ".join(f"`{_line(code)}`: {count}" for code, count in view.codes.items()))
    if view.acknowledged_at is not None:
        covered = f", covers what fails until {rfc3339(view.covered_until)}" if view.covered_until else ""
        lines.append(f"- acknowledged: {rfc3339(view.acknowledged_at)} by {_line(view.acknowledged_by)}{covered}")
    lines.append(f"- next: {rfc3339(view.next)}" if view.next else "- next: nothing, until something is reported")
    lines += ["", "Tiers:", ""]
    lines += [
        f"- **{tier.tier}** {_line(', '.join(tier.notify))}: "
        + (f"told {tier.times} time{'s' * (tier.times != 1)}, last {rfc3339(tier.last)}" if tier.last else "not told")
        for tier in view.tiers
    ]
    if view.samples:
        lines += ["", "Cases:", ""]
        lines += [f"- `{_line(one.case)}` `{_line(one.code)}` {_line(one.message)}" for one in view.samples]
    if view.log:
        lines += ["", "What was done:", ""]
        lines += [f"- {rfc3339(one.at)} {_line(one.text)}" for one in view.log[-ROWS:]]
    if view.state == "alarming":
        quoted = "'" + view.id.replace("'", "'\\''") + "'"
        lines += [
            "",
            "To say that you look after it:",
            "```sh",
            f"holdfast escalations acknowledge {quoted}",
            f"temporal workflow update execute --workflow-id {quoted} --name {names.ACKNOWLEDGE} {YOU}",
            "```",
        ]
    return "\n".join(lines)


def _line(text: str, limit: int = 200) -> str:
    flat = " ".join(text.split())
    return bounded(flat.replace("|", "\\|").replace("`", "'").replace("<", "&lt;"), limit)
