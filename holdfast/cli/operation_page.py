"""How an operation over many things looks to people. Flow: query `progress` → **page**."""

from holdfast.clock import rfc3339
from holdfast.contracts.operations import Progress
from holdfast.domain.quantities import format_rate
from holdfast.temporal.operations import summary_of_work

SHOWN_FAILURES = 10


def survey_page(last: Progress) -> str:
    """What it would do: how many, of which kinds, the first of them."""
    survey = last.survey
    lines = [f"{summary_of_work(last.work)}: {survey.count}"]
    lines += [f"  {number:>7}  {kind}" for kind, number in sorted(survey.by.items(), key=lambda pair: -pair[1])]
    if survey.sample:
        lines.append("the first of them:" if survey.count > len(survey.sample) else "which are:")
    for one in survey.sample:
        what = " ".join(str(one.get(name, "")) for name in ("state", "error", "source", "event_type"))
        lines += [f"  {' '.join(what.split())}", f"    {one['id']}"]
        lines += [f"      {reason}" for reason in one.get("triggers", ())]
    if survey.note:
        lines.append(survey.note)
    return "\n".join(lines)


def operation_page(last: Progress) -> str:
    """Where it is, what came of the items, what can be done."""
    name = last.id.removeprefix("operation/")
    tally = last.tally
    lines = [
        f"{name}: {last.phase}",
        f"  what      {summary_of_work(last.work)}",
        f"  by        {last.by}, {rfc3339(last.began)}, at most {format_rate(last.rate)}",
        f"  items     {last.survey.count} counted; {tally.done} done, {tally.failed} failed",
    ]
    lines += [f"  skipped   {number} {reason}" for reason, number in sorted(tally.skipped.items())]
    if last.missed:
        lines.append(f"  missed    {last.missed} were closed or changed by others before it was their turn")
    lines += [f"  {one.what:<9} {one.by}, {rfc3339(one.at)}: {one.reason}".rstrip(": ") for one in last.said]
    lines += [
        f"  failed    {one.item}\n            {one.code}: {one.message}" for one in tally.failures[:SHOWN_FAILURES]
    ]
    if last.message:
        lines.append(f"  why       {last.message}")
    if last.phase in {"waiting", "running", "paused"}:
        moves = {"waiting": "confirm", "running": "pause", "paused": "resume"}
        lines.append(f"next: holdfast bulk {moves[last.phase]} {name}, or holdfast bulk cancel {name}")
    return "\n".join(lines)
