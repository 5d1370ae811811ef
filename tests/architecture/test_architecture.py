"""The architecture holds; and each check is able to fail."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture import rules
from tests.architecture.rules import Rule
from tests.architecture.sources import ROOT, Source, everything, product, proofs

PRODUCT: list[Rule] = [
    rules.too_long,
    rules.long_functions,
    rules.foreign_imports,
    rules.environment_reads,
    rules.stray_commands,
    rules.module_state,
    rules.forbidden_name,
    rules.unlisted_events,
    rules.unlisted_spans,
]
TESTS: list[Rule] = [
    rules.too_long,
    rules.long_functions,
    rules.forbidden_name,
    rules.undocumented_tests,
    rules.sleeping_tests,
]

BROKEN: list[tuple[Rule, str, str]] = [
    (rules.too_long, "gateway/a.py", "x = 1\n" * 401),
    (rules.long_functions, "gateway/a.py", "def f():\n" + "    x = 1\n" * 61),
    (rules.foreign_imports, "gateway/a.py", "import nats.js"),
    (rules.foreign_imports, "gateway/a.py", "def f():\n    from opentelemetry.sdk import trace"),
    (rules.foreign_imports, "activities/a.py", "from temporalio import client"),
    (rules.foreign_imports, "holdfast/bus/a.py", "import prometheus_client"),
    (rules.environment_reads, "gateway/a.py", "import os\nx = os.environ['A']"),
    (rules.environment_reads, "workers/a.py", "from os import getenv"),
    (rules.stray_commands, "workflows/delivery.py", "async def f():\n    await workflow.execute_activity('x')"),
    (rules.stray_commands, "workflows/delivery.py", "async def f():\n    await asyncio.sleep(1)"),
    (rules.module_state, "gateway/a.py", "import httpx\nclient = httpx.AsyncClient()"),
    (rules.module_state, "gateway/a.py", "seen = {}\ndef f(x):\n    seen[x] = 1"),
    (rules.module_state, "gateway/a.py", "SEEN = []\ndef f(x):\n    SEEN.append(x)"),
    (rules.module_state, "gateway/a.py", "count = 0\ndef f():\n    global count\n    count += 1"),
    (rules.stray_commands, "workflows/delivery.py", "async def f():\n    await workflow.wait_condition(g)"),
    (rules.unlisted_events, "gateway/a.py", "log.info('no such event')"),
    (rules.unlisted_events, "gateway/a.py", "def f(x):\n    log.warning(f'{x} is bad')"),
    (rules.unlisted_spans, "workers/a.py", "with span('dispatch', traceparent=None):\n    pass"),
    (rules.forbidden_name, "gateway/utils.py", ""),
    (rules.forbidden_name, "holdfast/common/a.py", ""),
    (rules.undocumented_tests, "tests/test_a.py", "def test_a():\n    assert True"),
    (rules.sleeping_tests, "tests/test_a.py", "import time\ndef test_a():\n    '''.'''\n    time.sleep(1)"),
]

SOUND: list[tuple[Rule, str, str]] = [
    (rules.foreign_imports, "holdfast/bus/a.py", "import nats.js"),
    (
        rules.foreign_imports,
        "holdfast/telemetry/a.py",
        "from temporalio.contrib.opentelemetry import TracingInterceptor",
    ),
    (rules.environment_reads, "holdfast/settings/a.py", "import os\nx = os.environ"),
    (rules.stray_commands, "workflows/calls.py", "async def f():\n    await workflow.execute_activity('x')"),
    (rules.module_state, "gateway/a.py", "MOVES = {1: 2}\ndef f(x):\n    seen = {}\n    seen[x] = MOVES[x]"),
    (rules.unlisted_spans, "workers/a.py", "with span(names.SPAN_DELIVER.name, traceparent=None):\n    pass"),
    (rules.sleeping_tests, "tests/test_a.py", "@workflow.defn\nclass A:\n    async def run(self):\n        sleep(1)"),
    (rules.sleeping_tests, "tests/test_a.py", "async def test_a():\n    await asyncio.sleep(0)"),
]


@pytest.mark.parametrize("rule", PRODUCT, ids=lambda rule: rule.__name__)
def test_packages_keep(rule: Rule) -> None:
    """Every file of the packages keeps the rule."""
    assert [problem for source in product() for problem in rule(source)] == []


@pytest.mark.parametrize("rule", TESTS, ids=lambda rule: rule.__name__)
def test_tests_keep(rule: Rule) -> None:
    """Every file of the tests keeps the rule."""
    assert [problem for source in proofs() for problem in rule(source)] == []


def test_nothing_leaks() -> None:
    """No file names the machine, the index or the conversation it comes from."""
    assert [problem for path, text in everything() for problem in rules.leaks(path, text)] == []


@pytest.mark.parametrize(("rule", "path", "text"), BROKEN)
def test_rule_can_fail(rule: Rule, path: str, text: str) -> None:
    """A file that breaks the rule is found: no rule is green by looking away."""
    assert rule(Source.of(path, text))


@pytest.mark.parametrize(("rule", "path", "text"), SOUND)
def test_rule_lets_pass(rule: Rule, path: str, text: str) -> None:
    """A file that keeps the rule passes: no rule is red by suspicion."""
    assert rule(Source.of(path, text)) == []


@pytest.mark.parametrize("text", [f"see {ROOT}/notes", "--extra-index-url x", "https://host/simple/", "issue 12 says"])
def test_leak_can_be_found(text: str) -> None:
    """A text that leaks is found, with its line."""
    assert rules.leaks("docs/a.md", "first\n" + text)[0].startswith("docs/a.md:2: ")


def test_there_is_something_to_check() -> None:
    """The rules see the packages and the tests, and not an empty folder."""
    paths = {source.path for source in (*product(), *proofs())}
    assert {"holdfast/errors.py", "gateway/__init__.py", "workflows/__init__.py", "tests/conftest.py"} <= paths


def test_import_contracts_are_kept() -> None:
    """The layers and the forbidden imports of pyproject.toml hold."""
    ended = _lint_imports(ROOT / "pyproject.toml")
    assert ended.returncode == 0, ended.stdout


def test_import_contract_can_be_broken(tmp_path: Path) -> None:
    """A contract that the code does not keep is reported: here, that settings import no domain."""
    config = tmp_path / "contracts.toml"
    config.write_text(
        """
[tool.importlinter]
root_packages = ["holdfast"]
[[tool.importlinter.contracts]]
name = "Cannot hold"
type = "forbidden"
source_modules = ["holdfast.settings"]
forbidden_modules = ["holdfast.domain"]
"""
    )
    ended = _lint_imports(config)
    assert ended.returncode == 1
    assert "Cannot hold BROKEN" in ended.stdout


def _lint_imports(config: Path) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).parent / "lint-imports"), "--no-cache", "--config", str(config)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
