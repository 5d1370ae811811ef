"""Where things lie: from a path in Argo's payload (`body.ref`, `header.X-Github-Event.0`) to CEL over our event.

Argo hands a sensor `{header, body, metadata}` for a webhook. Here the body is `event.data` and the headers are
`event.headers`. Where the EventSource was not given, its layout is found out when the event comes (`argo.payload`).
"""

import json
import re
from dataclasses import dataclass, field

from holdfast.domain.gjson import plain_path

HTTP_KINDS = frozenset(
    ["webhook", "github", "gitlab", "bitbucket", "bitbucketserver", "gerrit", "slack", "stripe", "sns", "storageGrid"]
)
_IDENTIFIER = re.compile(r"[A-Za-z_]\w*")
_RESERVED = frozenset(
    [
        "true",
        "false",
        "null",
        "in",
        "as",
        "break",
        "const",
        "continue",
        "else",
        "for",
        "function",
        "if",
        "import",
        "let",
        "loop",
        "package",
        "namespace",
        "return",
        "var",
        "void",
        "while",
    ]
)


@dataclass(slots=True)
class Layout:
    """How one dependency's payload lies in our events; `headers` collects the names that filters read."""

    kind: str | None  # of the EventSource; None where it is not known
    source: str  # EventSource's name
    event: str  # its entry's name
    headers: set[str] = field(default_factory=set)
    root: str = "event"  # of what an action says: `events.NAME` in a join

    def rooted(self, text: str) -> str:
        """Return CEL over `event` as the action says it."""
        if self.root == "event":
            return text
        return re.sub(r"(?<![\w.\"'])event(?=[.\[)])", self.root, text)

    def path(self, path: str) -> str:
        """CEL of a gjson path; absent in the event means an absent field."""
        names = plain_path(path)
        if names is not None:
            return self.names(names)
        if self.kind in HTTP_KINDS and re.match(r"body[.|]", path):
            return f"argo.get(event.data, {quoted(path[5:])})"
        root = "argo.payload(event)" if self.kind is None or self.kind in HTTP_KINDS else "event.data"
        return f"argo.get({root}, {quoted(path)})"

    def names(self, names: list[str]) -> str:
        """CEL of a path of names."""
        if names and names[0] in {"header", "headers"} and len(names) > 1:
            self.headers.add(names[1].lower())
        if self.kind is None:
            return select("argo.payload(event)", names)
        if self.kind not in HTTP_KINDS:
            return select("event.data", names)
        if names and names[0] == "body":
            return select("event.data", names[1:])
        if names and names[0] in {"header", "headers"} and len(names) > 1:
            one = f"event.headers[{quoted(names[1].lower())}]"
            return one if names[2:3] == ["0"] else f"[{one}]"
        return select("event.data", names)

    def whole(self) -> str:
        """CEL of the whole payload."""
        return "argo.payload(event)" if self.kind is None or self.kind in HTTP_KINDS else "event.data"

    def context(self, name: str) -> str | None:
        """CEL of an attribute of the context; None for one that Argo's filter does not have."""
        cloudevent = "has(event.cloudevent)"
        match name:
            case "type":
                return "event.type" if self.kind is None else f"({cloudevent} ? event.type : {quoted(self.kind)})"
            case "source":
                return f"({cloudevent} ? event.cloudevent.source : {quoted(self.source)})"
            case "subject":
                return f"({cloudevent} ? event.subject : {quoted(self.event)})"
            case "datacontenttype":
                return "event.datacontenttype"
        return None


def select(root: str, names: list[str]) -> str:
    """`root` with a path behind it."""
    for name in names:
        if name.isdigit():
            root += f"[{int(name)}]"
        elif _IDENTIFIER.fullmatch(name) and name not in _RESERVED:
            root += f".{name}"
        else:
            root += f"[{quoted(name)}]"
    return root


def quoted(text: str) -> str:
    """A text as CEL writes it."""
    return json.dumps(text, ensure_ascii=False)
