"""What a trigger's template does, as `run`; a kind without a counterpart stays as a comment."""

from typing import Any

from holdfast.argo.crons import workflow_run
from holdfast.argo.findings import Notes, Untranslatable
from holdfast.argo.parameters import payload, source
from holdfast.argo.payload import Layout
from holdfast.argo.sources import secret

KINDS = (
    "http", "nats", "log", "argoWorkflow", "k8s", "slack", "email", "kafka", "awsLambda", "custom", "openWhisk", "pulsar",  # noqa: E501 - a table
    "azureEventHubs", "azureServiceBus",
)  # fmt: skip
_REASONS = {
    "slack": "post to Slack's incoming webhook with an `http` action",
    "email": "send it from a workflow of yours",
    "kafka": "publish it from a workflow of yours, or to NATS with a `nats` action",
    "awsLambda": "call the function's URL with an `http` action",
    "custom": "gRPC triggers have no counterpart: call an `http` action or write a workflow",
    "openWhisk": "call its API with an `http` action",
    "pulsar": "publish it from a workflow of yours",
    "azureEventHubs": "publish it from a workflow of yours",
    "azureServiceBus": "publish it from a workflow of yours",
}


def kind_of(template: dict[str, Any]) -> str:
    """Which kind a trigger template is."""
    return next((kind for kind in KINDS if kind in template), "none")


def run(template: dict[str, Any], layouts: dict[str, Layout], name: str, notes: Notes) -> dict[str, Any]:
    """`run` of a trigger template. Raises Untranslatable with the reason."""
    kind = kind_of(template)
    given = template.get(kind) or {}
    match kind:
        case "http":
            return {"http": _http(given, layouts, notes)}
        case "nats":
            return {"nats": _nats(given, layouts, notes)}
        case "log":
            if given.get("intervalSeconds"):
                notes.add("lost", "log.intervalSeconds", "every event is logged")
            return {"log": {}}
        case "argoWorkflow" | "k8s":
            return _workflow(kind, given, layouts, name, notes)
    raise Untranslatable(_REASONS.get(kind, f"the trigger has no template that is known ({', '.join(template)})"))


def _http(given: dict[str, Any], layouts: dict[str, Layout], notes: Notes) -> dict[str, Any]:  # noqa: C901 - one step per field
    url = str(given.get("url") or "")
    if not url.startswith(("http://", "https://")):
        raise Untranslatable(f"its url {url!r} is no http(s) URL")
    content: dict[str, Any] = {"url": _plain(url)}
    method = str(given.get("method") or "POST").upper()
    if method != "POST":
        content["method"] = method
    headers = {name: _plain(str(value)) for name, value in (given.get("headers") or {}).items()}
    for one in given.get("secureHeaders") or ():
        value = one.get("valueFrom") or {}
        reference = value.get("secretKeyRef") or value.get("configMapKeyRef")
        headers[str(one.get("name"))] = secret(reference, str(one.get("name")))
        notes.add("todo", f"header {one.get('name')}", f"give the worker {headers[str(one.get('name'))]}")
    for one in given.get("dynamicHeaders") or ():
        layout = layouts.get(str((one.get("src") or {}).get("dependencyName")))
        if layout is not None:
            headers[str(one.get("dest"))] = "${" + source(one["src"], layout) + "}"
    if given.get("basicAuth"):
        headers["Authorization"] = secret((given["basicAuth"].get("password")), "basic_auth")
        notes.add("todo", "basicAuth", f"put `Basic <base64 of user:password>` into {headers['Authorization']}")
    if headers:
        content["headers"] = headers
    body = payload(given.get("payload") or [], layouts, notes)
    if body is not None:
        content["body"] = body
    if given.get("timeout"):
        content["timeout"] = f"{int(given['timeout'])}s"
    for name in ("tls", "parameters"):
        if given.get(name):
            notes.add(
                "lost", f"http.{name}", "write it by hand" if name == "parameters" else "the system's CAs are used"
            )
    return content


def _nats(given: dict[str, Any], layouts: dict[str, Layout], notes: Notes) -> dict[str, Any]:
    content: dict[str, Any] = {"subject": str(given.get("subject") or "")}
    if not content["subject"]:
        raise Untranslatable("it has no subject")
    body = payload(given.get("payload") or [], layouts, notes)
    if body is not None:
        content["body"] = body
    notes.add("changed", "nats", f"published to JetStream of Holdfast's own bus, not to {given.get('url')}")
    return content


def _workflow(kind: str, given: dict[str, Any], layouts: dict[str, Layout], name: str, notes: Notes) -> dict[str, Any]:
    operation = str(given.get("operation") or ("submit" if kind == "argoWorkflow" else "create"))
    resource = ((given.get("source") or {}).get("resource")) or {}
    if operation not in {"submit", "submit-from", "create"}:
        raise Untranslatable(f"the operation {operation} works on what is there already; call it from a workflow")
    if kind == "k8s" and resource.get("kind") not in {"Workflow", None}:
        raise Untranslatable(f"it makes a Kubernetes {resource.get('kind')}: do that from a workflow of yours")
    if not resource:
        raise Untranslatable("its manifest is not inline (source.resource)")
    metadata = resource.get("metadata") or {}
    title = str(metadata.get("name") or metadata.get("generateName") or name).strip("-")
    content = workflow_run(resource.get("spec") or {}, title, notes)
    known = [str(p.get("name")) for p in ((resource.get("spec") or {}).get("arguments") or {}).get("parameters") or ()]
    named = [_named(one, known) for one in given.get("parameters") or ()]
    mapped = payload(named, layouts, notes)
    if mapped is not None:
        content["args"] = [mapped]
    return content


def _named(one: dict[str, Any], known: list[str]) -> dict[str, Any]:
    """`spec.arguments.parameters.0.value` is the parameter of that number; its name is what an argument is called."""
    words = str(one.get("dest") or "").split(".")
    if words[:3] == ["spec", "arguments", "parameters"] and len(words) == 5 and words[3].isdigit():
        index = int(words[3])
        return one | {"dest": known[index] if index < len(known) else f"parameter{index}"}
    return one


def _plain(text: str) -> str:
    return text.replace("${", "$${")
