"""Sensors as triggers: dependencies become `on` and filters, each template becomes `run`.

A trigger over one dependency, or over any of several, is a trigger here. One that needs several together is a join.
"""

import re
from dataclasses import dataclass, replace
from typing import Any

from holdfast.argo import filters
from holdfast.argo.conditions import alternatives
from holdfast.argo.filters import NEVER, Filter
from holdfast.argo.findings import Entry, Notes, Untranslatable
from holdfast.argo.payload import Layout
from holdfast.argo.runs import kind_of, run
from holdfast.argo.sources import Known, layout_of, placeholder, slug

_LATER = {
    "rateLimit": "rates are not limited per trigger",
    "dlqTrigger": "what fails for good is a dead letter with its event and attempts: see `holdfast dead-letters`",
    "policy": "an HTTP status other than 2xx is a failure",
}


@dataclass(frozen=True, slots=True)
class Dependency:
    """One dependency: where its events come from, what of them is let through."""

    name: str
    source: Known
    layout: Layout
    filter: Filter


def sensor(manifest: dict[str, Any], known: dict[tuple[str, str], Known], notes: Notes) -> list[Entry]:
    """The triggers of a Sensor, and a placeholder for each source that is not known."""
    owner = str((manifest.get("metadata") or {}).get("name") or "sensor")
    spec = manifest.get("spec") or {}
    entries: list[Entry] = []
    dependencies: dict[str, Dependency] = {}
    for given in spec.get("dependencies") or ():
        one, more = _dependency(given, known, notes)
        dependencies[one.name] = one
        entries += more
    for given in spec.get("triggers") or ():
        template = given.get("template") or {}
        name = slug(owner, str(template.get("name") or "trigger"))
        entries += _trigger(name, given, dependencies, notes.at(str(template.get("name") or "trigger")))
    return entries


def _dependency(
    given: dict[str, Any], known: dict[tuple[str, str], Known], notes: Notes
) -> tuple[Dependency, list[Entry]]:
    name = str(given.get("name") or "dependency")
    owner, event = str(given.get("eventSourceName") or ""), str(given.get("eventName") or "")
    at, entries = notes.at(name), []
    source = known.get((owner, event))
    if source is None:
        source, entry = placeholder(owner, event)
        known[owner, event] = source
        entries.append(entry)
        at.add("todo", f"EventSource {owner}/{event}", "it was not among the files: say how its sender is verified")
    layout = layout_of(source, owner, event)
    found = filters.translate(given.get("filters"), layout, at)
    if source.filter:
        text = filters.source_expression(source.filter, layout, at)
        found.when = text if found.when is None else f"({text}) && ({found.when})"
    transform = given.get("transform")
    if transform and str(transform.get("jq") or "").strip() != ".":
        at.add("lost", "transform", "jq and Lua transforms are not translated: map what you need in the action")
        found.comments.append(
            f"transform {transform}: its filters cannot be read without it, so nothing is let through"
        )
        found.when = NEVER
    return Dependency(name, source, layout, found), entries


def _trigger(name: str, given: dict[str, Any], dependencies: dict[str, Dependency], notes: Notes) -> list[Entry]:
    template = given.get("template") or {}
    comments = _left(given, template, notes)
    try:
        names = alternatives(str(template.get("conditions") or ""), list(dependencies))
    except Untranslatable as error:
        notes.add("lost", f"conditions {template.get('conditions')!r}", str(error))
        return [Entry("triggers", name, {"run": {kind_of(template): "…"}}, (*comments, str(error)), active=False)]
    if names is None:
        return [_join(name, given, dependencies, comments, notes)]
    chosen = [dependencies[one] for one in names]
    simple = all(one.filter.when is None and one.filter.during is None for one in chosen)
    if len(chosen) > 1 and simple and not _parameters(template):
        return [_entry(name, chosen, given, comments, notes)]
    return [_entry(slug(name, one.name) if len(chosen) > 1 else name, [one], given, comments, notes) for one in chosen]


def _entry(name: str, chosen: list[Dependency], given: dict[str, Any], comments: list[str], notes: Notes) -> Entry:
    first = chosen[0]
    on = [one.source.name for one in chosen]
    content: dict[str, Any] = {"on": on[0] if len(on) == 1 else on}
    if first.filter.during is not None:
        content["during"] = first.filter.during
    if first.filter.when is not None:
        content["when"] = first.filter.when
    comments = [*comments, *(text for one in chosen for text in one.filter.comments)]
    template = given.get("template") or {}
    merged = template
    if given.get("parameters"):
        merged = _with_parameters(template, given["parameters"], notes)
    try:
        content["run"] = run(merged, {one.name: one.layout for one in chosen}, name, notes)
    except Untranslatable as error:
        notes.add("lost", f"trigger of kind {kind_of(template)}", str(error))
        content["run"] = {kind_of(template): template.get(kind_of(template))}
        return Entry("triggers", name, content, (*comments, str(error)), active=False)
    if given.get("retryStrategy"):
        content["retry"] = _retry(given["retryStrategy"], notes)
    return Entry("triggers", name, content, tuple(comments))


def _join(
    name: str, given: dict[str, Any], dependencies: dict[str, Dependency], comments: list[str], notes: Notes
) -> Entry:
    """The join; Argo correlates nothing, so every event of a dependency meets every other: one key for all."""
    template = given.get("template") or {}
    condition = str(template.get("conditions") or " && ".join(dependencies))
    used = [one for one in dependencies.values() if re.search(rf"(?<![\w-]){re.escape(one.name)}(?![\w-])", condition)]
    said = {one.name: _identifier(one.name) for one in used}
    parts = {
        said[one.name]: {"on": one.source.name}
        | ({"when": one.filter.when} if one.filter.when else {})
        | ({"during": one.filter.during} if one.filter.during else {})
        | {"key": '"all"'}
        for one in used
    }
    for one in sorted(said, key=len, reverse=True):
        condition = re.sub(rf"(?<![\w-]){re.escape(one)}(?![\w-])", said[one], condition)
    content: dict[str, Any] = {"join": parts, "condition": condition, "within": "366d", "at_end": "drop"}
    reset = _resets(template)
    if reset:
        content["reset_at"] = reset
    reason = "as in Argo all events meet: say in `key` by what they belong together, and in `within` how soon"
    notes.add("changed", f"conditions {condition!r}", reason)
    try:
        layouts = {one.name: replace(one.layout, root=f"events.{said[one.name]}") for one in used}
        content["run"] = run(template, layouts, name, notes)
    except Untranslatable as error:
        content["run"] = {kind_of(template): template.get(kind_of(template))}
        return Entry("triggers", name, content, (*comments, str(error)), active=False)
    if given.get("retryStrategy"):
        content["retry"] = _retry(given["retryStrategy"], notes)
    return Entry("triggers", name, content, (*comments, reason))


def _identifier(name: str) -> str:
    """A name that CEL can say."""
    return re.sub(r"\W", "_", name.lower()) if name[:1].isalpha() else "d_" + re.sub(r"\W", "_", name.lower())


def _resets(template: dict[str, Any]) -> list[dict[str, str]]:
    """`conditionsReset` as `reset_at`."""
    times = (one.get("byTime") or {} for one in template.get("conditionsReset") or () if isinstance(one, dict))
    return [
        {"cron": str(time["cron"])} | ({"timezone": str(time["timezone"])} if time.get("timezone") else {})
        for time in times
        if time.get("cron")
    ]


def _left(given: dict[str, Any], template: dict[str, Any], notes: Notes) -> list[str]:
    """Fields that have no counterpart, each as a finding and a comment."""
    comments = []
    for key, reason in _LATER.items():
        if given.get(key):
            notes.add("lost", key, reason)
            comments.append(f"{key}: {given[key]} ({reason})")
    if template.get("conditionsReset"):
        notes.add("changed", "conditionsReset", "`reset_at` ends the window; what had come is recorded in UNMATCHED")
    return comments


def _parameters(template: dict[str, Any]) -> bool:
    inner = template.get(kind_of(template)) or {}
    return any(inner.get(key) for key in ("payload", "parameters", "dynamicHeaders"))


def _with_parameters(template: dict[str, Any], given: list[dict[str, Any]], notes: Notes) -> dict[str, Any]:
    """Parameters over the trigger's own template: only `http.url` has a place where that makes sense."""
    for one in given:
        notes.add("lost", f"template parameter to {one.get('dest')!r}", "write it as ${…} in the action")
    return template


def _retry(given: dict[str, Any], notes: Notes) -> dict[str, Any]:
    """`retry` of a retryStrategy: steps are attempts."""
    content: dict[str, Any] = {"max_attempts": max(1, int(given.get("steps") or 1))}
    duration = given.get("duration")
    if isinstance(duration, int):
        content["initial"] = f"{max(duration // 1_000_000, 1)}ms"  # nanoseconds
    elif duration:
        content["initial"] = str(duration)
    factor = given.get("factor")
    factor = factor.get("value") if isinstance(factor, dict) else factor
    if factor:
        content["factor"] = min(max(float(factor), 1.0), 10.0)
    jitter = given.get("jitter")
    jitter = jitter.get("value") if isinstance(jitter, dict) else jitter
    if jitter:
        content["jitter"] = min(float(jitter), 1.0)
    notes.add(
        "changed", "retryStrategy", "waits are durable and at most 5m each; after the last attempt: a dead letter"
    )
    return content
