"""No name of a module is given twice: after a merge the second meaning would win without a word."""

import ast

from tests.architecture.sources import Source, product


def twice(source: Source) -> list[str]:
    """Return the names that a module binds twice on its top level, by assignment, `def` or `class`."""
    seen: set[str] = set()
    again: list[str] = []
    for node in source.tree.body:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name), value=ast.expr()):
                names = [name]
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                names = [name]
            case _:
                names = []
        again += [name for name in names if name in seen]
        seen.update(names)
    return again


def test_no_module_gives_a_name_twice() -> None:
    """Two constants of one name are a defect that type checkers let pass where their types agree."""
    assert {str(source.path): found for source in product() if (found := twice(source))} == {}


def test_the_check_can_fail() -> None:
    """A constant, and a function, given twice are found."""
    assert twice(Source.of("x.py", "A = 1\nB = 2\nA = 3\ndef f(): ...\ndef f(): ...\n")) == ["A", "f"]
