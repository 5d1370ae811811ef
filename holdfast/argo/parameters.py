"""Trigger parameters as CEL: `src` (dataKey, dataTemplate, contextKey, value, useRawData) and `dest`."""

from typing import Any

from holdfast.argo.findings import Notes, Untranslatable
from holdfast.argo.payload import Layout, quoted
from holdfast.argo.sprig import template
from holdfast.domain.expressions import EVENT
from holdfast.domain.gjson import plain_path
from holdfast.errors import RejectedInput


def source(src: dict[str, Any], layout: Layout) -> str:
    """CEL of a parameter's value. Raises Untranslatable."""
    default, raw = src.get("value"), bool(src.get("useRawData"))
    if src.get("dataTemplate"):
        text = template(str(src["dataTemplate"]), layout.names)
    elif src.get("contextTemplate"):
        text = template(str(src["contextTemplate"]), lambda names: _context(layout, names[0] if names else ""))
    elif src.get("dataKey"):
        text = layout.path(str(src["dataKey"]))
        if default is not None:
            text = _defaulted(text, str(default))
        text = text if raw else f"argo.text({text})"
    elif src.get("contextKey"):
        text = _context(layout, str(src["contextKey"]))
    elif default is not None:
        text = quoted(str(default))
    else:
        text = layout.whole()
    try:
        EVENT.compile(text)
    except RejectedInput as error:
        raise Untranslatable(f"no CEL came of it ({error.message.splitlines()[0]})") from None
    return layout.rooted(text)


def _defaulted(text: str, default: str) -> str:
    if text.startswith("argo.get("):
        return f"({text.replace('argo.get(', 'argo.exists(', 1)} ? {text} : {quoted(default)})"
    if text.startswith("argo.payload(event)"):
        inner = text.removeprefix("argo.payload(event)")
        return f"cel.bind(payload, argo.payload(event), default(payload{inner}, {quoted(default)}))"
    return f"default({text}, {quoted(default)})" if text.startswith("event") else text


def _context(layout: Layout, name: str) -> str:
    seen = layout.context(name) or {"id": "event.id", "time": "event.time", "specversion": '"1.0"'}.get(name)
    if seen is None:
        raise Untranslatable(f"the context has no {name!r}")
    return seen


def payload(given: list[dict[str, Any]], layouts: dict[str, Layout], notes: Notes) -> str | None:
    """CEL of an object built of parameters, nested by their `dest`; None where there are none."""
    tree: dict[str, Any] = {}
    for one in given:
        src, dest = one.get("src") or {}, str(one.get("dest") or "")
        layout = layouts.get(str(src.get("dependencyName")))
        if layout is None:
            continue  # of a dependency that is not this event's: Argo skips it
        try:
            value = source(src, layout)
            names = plain_path(dest) if dest else []
            if names is None or any(name.isdigit() or name == "-1" for name in names):
                raise Untranslatable(f"dest {dest!r} is no path of names")  # noqa: TRY301 - told with the others
        except Untranslatable as error:
            notes.add("lost", f"parameter to {dest!r}", f"{error}; the value is null")
            names, value = plain_path(dest) or [dest or "value"], "null"
        if not names:
            return value
        node = tree
        for name in names[:-1]:
            node = node.setdefault(name, {}) if isinstance(node.get(name, {}), dict) else node
        node[names[-1]] = value
    return _object(tree) if tree else None


def _object(tree: dict[str, Any]) -> str:
    inner = (f"{quoted(name)}: {_object(one) if isinstance(one, dict) else one}" for name, one in tree.items())
    return "{" + ", ".join(inner) + "}"
