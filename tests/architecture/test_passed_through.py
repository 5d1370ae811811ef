import ast
import importlib
import pkgutil
from pathlib import Path

import pytest
import temporalio.workflow

import workflows
from workers.sandbox import PASSED_THROUGH
from workflows.registry import WORKFLOWS

STEPS = [name for name in PASSED_THROUGH if name.startswith("workflows.")]
NOT_DETERMINISTIC = {"now", "utcnow", "today", "uuid1", "uuid4", "random", "monotonic", "perf_counter", "sleep", "open"}


@pytest.mark.parametrize("name", STEPS)
def test_what_the_sandbox_does_not_watch_asks_no_clock_and_no_chance(name: str) -> None:
    """In a module that is passed through, time and identifiers come from `workflow` alone."""
    tree = ast.parse(Path(str(importlib.import_module(name).__file__)).read_text())
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        called = call.func
        if isinstance(called, ast.Attribute) and called.attr in NOT_DETERMINISTIC:
            owner = called.value
            assert isinstance(owner, ast.Name), f"{name}:{call.lineno}"
            assert owner.id == "workflow", f"{name}:{call.lineno}: {owner.id}.{called.attr}"
        if isinstance(called, ast.Name):
            assert called.id not in NOT_DETERMINISTIC, f"{name}:{call.lineno}: {called.id}"


@pytest.mark.parametrize("name", STEPS)
def test_what_the_sandbox_shares_between_runs_holds_no_state(name: str) -> None:
    """No statement in it reaches for a module's globals, and no global is a mutable collection that is written to."""
    tree = ast.parse(Path(str(importlib.import_module(name).__file__)).read_text())
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.Global)]


def test_workflow_classes_are_loaded_anew_and_their_steps_are_not() -> None:
    """Every module of a workflow class stays watched; every other module of the package is passed through."""
    classes = {workflow.__module__ for workflow in WORKFLOWS}
    assert not classes & set(PASSED_THROUGH)
    modules = {f"workflows.{module.name}" for module in pkgutil.iter_modules(workflows.__path__)}
    assert modules - classes - {"workflows.registry"} == set(STEPS)
    assert temporalio.workflow.__name__ not in PASSED_THROUGH
