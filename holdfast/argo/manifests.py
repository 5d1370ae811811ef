"""From manifests to the text of a `holdfast.yaml`, with everything that was not translated beside its place.

Flow: files → documents → entries and findings → text. Nothing is dropped: what has no counterpart is a comment.
"""

import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from holdfast.argo.crons import cron_workflow
from holdfast.argo.findings import Entry, Finding, Notes
from holdfast.argo.sensors import sensor
from holdfast.argo.sources import Known, event_source
from holdfast.errors import ErrorCode, RejectedInput

SECTIONS = ("sources", "triggers", "schedules")
_ORDER = {"EventSource": 0, "CronWorkflow": 1, "Sensor": 2}


@dataclass(frozen=True, slots=True)
class Imported:
    """The file's text and all there is to say about it."""

    text: str
    findings: tuple[Finding, ...]
    entries: tuple[Entry, ...]


def documents(text: str, name: str) -> Iterator[dict[str, Any]]:
    """Every manifest of a file, also those of lists. Raises RejectedInput `input.invalid`."""
    try:
        found = list(YAML(typ="safe", pure=True).load_all(text))
    except (YAMLError, ValueError) as error:
        raise RejectedInput(ErrorCode.INPUT_INVALID, f"{name}: not YAML: {str(error).splitlines()[0]}") from error
    for one in found:
        if isinstance(one, dict) and isinstance(one.get("items"), list):
            yield from (item for item in one["items"] if isinstance(item, dict))
        elif isinstance(one, dict):
            yield one
        elif one is not None:
            raise RejectedInput(ErrorCode.INPUT_INVALID, f"{name}: a document is no manifest")


def translate(manifests: Iterable[dict[str, Any]]) -> Imported:
    """Translate all manifests together: a Sensor reads better when its EventSources are known."""
    known: dict[tuple[str, str], Known] = {}
    findings: list[Finding] = []
    entries: list[Entry] = []
    left: list[dict[str, Any]] = []
    for manifest in sorted(manifests, key=lambda one: _ORDER.get(str(one.get("kind")), 9)):
        kind = str(manifest.get("kind"))
        metadata = manifest.get("metadata")
        name = str((metadata.get("name") if isinstance(metadata, dict) else None) or "unnamed")
        notes = Notes(f"{kind}/{name}", findings)
        try:
            match kind:
                case "EventSource":
                    entries += event_source(manifest, known, notes)
                case "CronWorkflow":
                    entries += cron_workflow(manifest, notes)
                case "Sensor":
                    entries += sensor(manifest, known, notes)
                case _:
                    notes.add("lost", kind, "only EventSource, Sensor and CronWorkflow are translated")
                    left.append(manifest)
        except (AttributeError, TypeError, KeyError, IndexError, ValueError) as error:
            # a field that Argo would not accept there either: the others go on, and this one is kept as it came
            notes.add("lost", kind, f"is not shaped like one: {type(error).__name__}: {error}")
            left.append(manifest)
    entries = [_with_headers(one, known) for one in _distinct(entries, findings)]
    return Imported(_text(entries, findings, left), tuple(findings), tuple(entries))


def _with_headers(entry: Entry, known: dict[tuple[str, str], Known]) -> Entry:
    """A source keeps the headers that filters read."""
    wanted = {name for one in known.values() if one.name == entry.name for name in one.headers}
    secret = {"authorization", "cookie", "proxy-authorization"}
    if entry.section != "sources" or not wanted - secret:
        return entry
    return Entry(entry.section, entry.name, entry.content | {"headers": sorted(wanted - secret)}, entry.comments)


def _distinct(entries: list[Entry], findings: list[Finding]) -> Iterator[Entry]:
    """Names and routes are given once."""
    names: set[tuple[str, str]] = set()
    routes: set[str] = set()
    for entry in entries:
        name, number = entry.name, 2
        section = "sources" if entry.section == "schedules" else entry.section
        while (section, name) in names:
            name, number = f"{entry.name[:59]}-{number}", number + 1
        names.add((section, name))
        content = dict(entry.content)
        route = content.get("path")
        if entry.section == "sources" and route in routes:
            del content["path"]
            findings.append(
                Finding("changed", f"sources.{name}", f"path {route}", "another source has it: /hooks/NAME")
            )
        elif route:
            routes.add(route)
        yield Entry(entry.section, name, content, entry.comments, entry.active)


def _text(entries: list[Entry], findings: list[Finding], left: list[dict[str, Any]]) -> str:
    lines = ["# Made by `holdfast import argo`. Lines that begin with # stand where something was not translated.", ""]
    lines += [f"# {finding.show()}" for finding in findings]
    lines += ["", "version: 1"]
    for section in SECTIONS:
        of_section = [entry for entry in entries if entry.section == section]
        if not of_section:
            continue
        lines += ["", f"{section}:" if any(entry.active for entry in of_section) else f"{section}: {{}}"]
        for entry in of_section:
            lines += [f"  # {line}" for comment in entry.comments for line in comment.splitlines()]
            body = _yaml({entry.name: entry.content}).splitlines()
            lines += [f"  {line}" if entry.active else f"  # {line}" for line in body]
    for manifest in left:
        lines += ["", "# not translated:", *(f"# {line}" for line in _yaml(manifest).splitlines())]
    return "\n".join(lines) + "\n"


def _yaml(value: Any) -> str:
    writer = YAML(typ="safe", pure=True)
    writer.default_flow_style = False
    writer.width = 100_000
    writer.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    writer.allow_unicode = True
    out = io.StringIO()
    writer.dump(value, out)
    return out.getvalue()
