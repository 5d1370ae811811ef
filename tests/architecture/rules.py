"""The house rules that no linter has: each takes one file and returns what is wrong with it, with its line."""

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from holdfast.telemetry.names import LOG_EVENTS
from tests.architecture.sources import Source

_EVENTS = {event.name for event in LOG_EVENTS}
_LEVELS = {"debug", "info", "warning", "error", "exception", "critical", "log"}

Rule = Callable[[Source], list[str]]

MAX_LINES = 400  # of a file
MAX_FUNCTION = 60  # lines of body, docstring and all; the aim is 40

ONE_IMPORTER = {
    "opentelemetry": ("holdfast/telemetry/",),
    "prometheus_client": ("holdfast/telemetry/",),
    "temporalio.contrib.opentelemetry": ("holdfast/telemetry/",),
    "temporalio.client": ("holdfast/temporal/", "workers/", "holdfast/cli/"),  # the command line hands it on
    "nats": ("holdfast/bus/",),
    "fastapi": ("gateway/", "workers/"),
    "starlette": ("gateway/", "workers/"),
    "typer": ("holdfast/cli/",),
    "rich": ("holdfast/cli/", "holdfast/embedded/"),
    "cel_expr_python": ("holdfast/domain/expressions.py",),
}
"""Who alone may import what."""

COMMANDS = {
    "execute_activity",
    "execute_activity_method",
    "start_activity",
    "start_activity_method",
    "execute_local_activity",
    "execute_local_activity_method",
    "start_local_activity",
    "start_child_workflow",
    "execute_child_workflow",
    "continue_as_new",
    "sleep",
    "upsert_search_attributes",
    "upsert_memo",
    "set_current_details",
    "patched",
    "wait_condition",
}
"""What a workflow writes into its history with."""

FORBIDDEN_NAMES = {"utils", "util", "common", "helpers", "helper", "manager", "managers", "base", "misc", "shared"}

_CHECKOUT = Path(__file__).parents[2]
_LEAKS = re.compile(
    re.escape(f"{_CHECKOUT}/")
    + r"|/home/[a-z]|--(extra-)?index-url|--find-links|https?://[^\s\"')]+/simple\b|\bissues? #?\d",
    re.IGNORECASE,
)
"""Where this checkout lies, somebody's home, a package index, a tracker's number."""

_MUTATORS = {
    "append",
    "add",
    "update",
    "pop",
    "clear",
    "setdefault",
    "extend",
    "remove",
    "discard",
    "insert",
    "popitem",
}
_AT_IMPORT = {"open", "run", "connect", "Popen", "urlopen", "AsyncClient", "Client", "socket", "read_text", "getenv"}


def too_long(source: Source) -> list[str]:
    """No file past 400 lines."""
    lines = source.text.count("\n")
    return [f"{source.path}: {lines} lines, at most {MAX_LINES}"] if lines > MAX_LINES else []


def long_functions(source: Source) -> list[str]:
    """No function past 60 lines. At most 5 parameters is ruff's PLR0913."""
    found = []
    for node in ast.walk(source.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.body[0].lineno + 1
            if length > MAX_FUNCTION:
                found.append(f"{source.path}:{node.lineno}: {node.name} has {length} lines, at most {MAX_FUNCTION}")
    return found


def foreign_imports(source: Source) -> list[str]:
    """What has one importer is imported there alone."""
    found = []
    for line, module in _imports(source.tree):
        # the longest rule decides: temporalio.contrib.opentelemetry is not opentelemetry
        rules = [owned for owned in ONE_IMPORTER if module == owned or module.startswith(owned + ".")]
        if rules and not source.path.startswith(ONE_IMPORTER[max(rules, key=len)]):
            owners = ", ".join(ONE_IMPORTER[max(rules, key=len)])
            found.append(f"{source.path}:{line}: imports {module}; only {owners} may")
    return found


def environment_reads(source: Source) -> list[str]:
    """The environment is read in holdfast/settings alone."""
    if source.path.startswith("holdfast/settings/"):
        return []
    names = {"environ", "environb", "getenv", "putenv"}
    found = [node.lineno for node in ast.walk(source.tree) if isinstance(node, ast.Attribute) and node.attr in names]
    found += [
        node.lineno
        for node in ast.walk(source.tree)
        if isinstance(node, ast.ImportFrom) and node.module == "os" and names & {alias.name for alias in node.names}
    ]
    return [f"{source.path}:{line}: reads the environment; ask holdfast/settings" for line in found]


def stray_commands(source: Source) -> list[str]:
    """Workflow commands are issued in workflows/calls*.py alone."""
    if not source.path.startswith("workflows/") or source.path.startswith("workflows/calls"):
        return []
    return [
        f"{source.path}:{node.lineno}: {node.value.id}.{node.attr}; commands are issued in workflows/calls.py"
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Attribute)
        and node.attr in COMMANDS
        and isinstance(node.value, ast.Name)
        and node.value.id in {"workflow", "asyncio"}
    ]


def module_state(source: Source) -> list[str]:
    """No I/O and no clients at import; nothing at module level is ever changed."""
    found, tops = [], set()
    for statement in source.tree.body:
        if isinstance(statement, ast.Assign | ast.AnnAssign):
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            tops |= {target.id for target in targets if isinstance(target, ast.Name)}
        if not isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.If):
            calls = (node for node in ast.walk(statement) if isinstance(node, ast.Call))
            found += [
                f"{source.path}:{call.lineno}: {_called(call)}() at import"
                for call in calls
                if _called(call) in _AT_IMPORT
            ]
    for function in ast.walk(source.tree):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            own = _locals(function)
            found += [
                f"{source.path}:{line}: changes {name}, which is the module's"
                for line, name in _changes(function)
                if name in tops and name not in own
            ]
    return found


def forbidden_name(source: Source) -> list[str]:
    """No file is named for nothing in particular."""
    parts = {part.removesuffix(".py") for part in source.path.split("/")}
    return [f"{source.path}: {part!r} says nothing" for part in sorted(parts & FORBIDDEN_NAMES)]


def undocumented_tests(source: Source) -> list[str]:
    """Every test says which property it proves."""
    return [
        f"{source.path}:{node.lineno}: {node.name} has no docstring"
        for node in ast.walk(source.tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test_")
        and not ast.get_docstring(node)
    ]


def sleeping_tests(source: Source) -> list[str]:
    """No test waits by the clock; `assert_eventually` in tests/conftest.py is the one place that does."""
    if source.path == "tests/conftest.py":
        return []
    durable = {id(node) for workflow in _workflows(source.tree) for node in ast.walk(workflow)}
    return [
        f"{source.path}:{node.lineno}: sleeps; use assert_eventually or await a signal"
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Call) and _called(node) == "sleep" and id(node) not in durable and not _yields(node)
    ]


def unlisted_events(source: Source) -> list[str]:
    """Every log event is a literal that holdfast/telemetry/names.py lists."""
    return [
        f"{source.path}:{node.lineno}: {name!r} is no log event of holdfast/telemetry/names.py"
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Call) and (name := _logged(node)) is not None and name not in _EVENTS
    ]


def unlisted_spans(source: Source) -> list[str]:
    """Every span is named by a SpanName of holdfast/telemetry/names.py: `span(SPAN_….name, …)`."""
    return [
        f"{source.path}:{node.lineno}: name the span by holdfast/telemetry/names.py"
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Call) and _called(node) == "span" and node.args
        if not re.search(r"\bSPAN_[A-Z_]+\.name$", ast.unparse(node.args[0]))
    ]


def leaks(path: str, text: str) -> list[str]:
    """Nothing in the tree knows where it was written, or by whom."""
    return [
        f"{path}:{text.count(chr(10), 0, match.start()) + 1}: {match.group()!r}"
        for match in _LEAKS.finditer(text)
        if path != "tests/architecture/rules.py" and not path.startswith("tests/architecture/test_")
    ]


def _imports(tree: ast.Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.lineno, node.module
            # `from temporalio import client` imports temporalio.client
            yield from ((node.lineno, f"{node.module}.{a.name}") for a in node.names if node.module == "temporalio")


def _logged(node: ast.Call) -> str | None:
    """Return what a call of a logger says; what is not a literal is shown as its code, which is listed nowhere."""
    if not (isinstance(node.func, ast.Attribute) and getattr(node.func.value, "id", "") in {"log", "logger", "_log"}):
        return None
    position = 1 if node.func.attr == "log" else 0
    if node.func.attr not in _LEVELS or len(node.args) <= position:
        return None
    said = node.args[position]
    return str(said.value) if isinstance(said, ast.Constant) else ast.unparse(said)


def _called(node: ast.Call) -> str:
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


def _workflows(tree: ast.Module) -> Iterator[ast.ClassDef]:
    """Return workflows written for a test: a sleep in one is a durable timer."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and any("workflow.defn" in ast.unparse(d) for d in node.decorator_list):
            yield node


def _yields(node: ast.Call) -> bool:
    """`sleep(0)` only lets others run."""
    return len(node.args) == 1 and isinstance(node.args[0], ast.Constant) and node.args[0].value == 0


def _locals(function: ast.FunctionDef | ast.AsyncFunctionDef) -> set[str]:
    arguments = function.args
    names = {a.arg for a in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)}
    declared = {name for node in ast.walk(function) if isinstance(node, ast.Global) for name in node.names}
    stored = {n.id for n in ast.walk(function) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    return (names | stored) - declared


def _changes(function: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[tuple[int, str]]:
    for node in ast.walk(function):
        if isinstance(node, ast.Global):
            yield from ((node.lineno, name) for name in node.names)
        elif (
            isinstance(node, ast.Subscript) and not isinstance(node.ctx, ast.Load) and isinstance(node.value, ast.Name)
        ):
            yield node.lineno, node.value.id
        elif (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in _MUTATORS
            and isinstance(node.func.value, ast.Name)
        ):
            yield node.lineno, node.func.value.id
