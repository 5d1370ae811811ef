"""CronWorkflows as a schedule and a trigger that runs the workflow."""

from typing import Any

from holdfast.argo.cel import Writer
from holdfast.argo.findings import Entry, Notes, Untranslatable
from holdfast.argo.sources import slug
from holdfast.argo.terms import parse
from holdfast.domain.schedules import ScheduleConfig

OVERLAP = {"Allow": "allow_all", "Forbid": "skip", "Replace": "terminate_other"}
_LEFT = {
    "stopStrategy": "stop conditions over succeeded and failed runs have no field here: pause the schedule by hand",
    "when": "write it as `when` of the trigger, over `event`",
    "successfulJobsHistoryLimit": "history is kept by the namespace's retention, for all runs alike",
    "failedJobsHistoryLimit": "history is kept by the namespace's retention, for all runs alike",
    "workflowMetadata": "labels have no counterpart; use search_attributes",
}


def cron_workflow(manifest: dict[str, Any], notes: Notes) -> list[Entry]:
    """The schedule and the trigger of one CronWorkflow."""
    spec = manifest.get("spec") or {}
    name = slug(str((manifest.get("metadata") or {}).get("name") or "cron"))
    schedules = spec.get("schedules") or ([spec["schedule"]] if spec.get("schedule") else [])
    content: dict[str, Any] = {}
    plain = [str(text) for text in schedules if not str(text).startswith("@every")]
    if plain:
        content["cron"] = plain
    every = [str(text).split()[-1] for text in schedules if str(text).startswith("@every")]
    if every:
        content["every"] = every[0]
        notes.add("changed", "@every", "counted from the epoch, not from when it was created")
    comments = [f"another interval: {text}" for text in every[1:]]
    if spec.get("timezone"):
        content["timezone"] = str(spec["timezone"])
    else:
        notes.add("changed", "timezone", "UTC; Argo reads it in the zone of its controller")
    policy = str(spec.get("concurrencyPolicy") or "Allow")
    content["overlap"] = OVERLAP.get(policy, "allow_all")
    content["catch_up"] = _catch_up(spec, notes)
    if spec.get("suspend"):
        content["paused"] = True
    stop = _stop_when(spec)
    if stop is not None:
        content["stop_when"] = stop
        notes.add("changed", "stopStrategy", "it pauses the schedule; counted over deliveries, since the last stop")
    for key, reason in _LEFT.items():
        if key == "stopStrategy" and stop is not None:
            continue
        if spec.get(key) is not None:
            notes.add("lost", key, reason)
            comments.append(f"{key}: {spec[key]} ({reason})")
    content["event"] = {"type": "cronworkflow", "subject": name}
    run = workflow_run(spec.get("workflowSpec") or {}, name, notes)
    todo = f"write the workflow {run['workflow']} with a Temporal SDK"
    return [
        Entry("schedules", name, content, tuple(comments)),
        Entry("triggers", name, {"on": name, "run": run}, (todo,)),
    ]


def _stop_when(spec: dict[str, Any]) -> str | None:
    """`failed >= 3` over the counts of a schedule's ticks; None where it cannot be said."""
    text = (spec.get("stopStrategy") or {}).get("expression")
    if not text or "stop_when" not in ScheduleConfig.model_fields:
        return None

    def count(path: str) -> str:
        name = path.rsplit("\x00", maxsplit=1)[-1]
        if name not in {"failed", "succeeded"}:
            raise Untranslatable(f"{name!r} is no count of ticks")
        return f"ticks.{name}"

    try:
        return Writer("expr", count).condition(parse(str(text), "expr"))
    except Untranslatable:
        return None


def _catch_up(spec: dict[str, Any], notes: Notes) -> str:
    seconds = int(spec.get("startingDeadlineSeconds") or 0)
    if seconds:
        notes.add(
            "changed", "startingDeadlineSeconds", "every missed tick within it is made up for, not only the latest"
        )
    return f"{max(seconds, 10)}s"


def workflow_run(spec: dict[str, Any], name: str, notes: Notes) -> dict[str, Any]:
    """`run` for an Argo workflow: a workflow of the same name that somebody writes, with its parameters as argument."""
    reference = (spec.get("workflowTemplateRef") or {}).get("name")
    kind = str(reference or spec.get("entrypoint") or name)
    notes.add("todo", f"workflow {kind}", "the steps of an Argo workflow are containers: write it with a Temporal SDK")
    run: dict[str, Any] = {"workflow": kind, "task_queue": "argo"}
    parameters = (spec.get("arguments") or {}).get("parameters") or ()
    if parameters:
        values = ", ".join(
            f"{_text(p.get('name'))}: {_text(p.get('value'))}" for p in parameters if isinstance(p, dict)
        )
        run["args"] = ["{" + values + "}"]
    return run


def _text(value: Any) -> str:
    from holdfast.argo.payload import quoted  # noqa: PLC0415

    return quoted("" if value is None else str(value))
