"""The project's own Python files, parsed once: what the rules look at."""

import ast
import functools
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("holdfast", "gateway", "workers", "workflows", "activities")
SKIPPED = {"__pycache__", "dist", "build"}
DOTTED = {".ci", ".dockerignore", ".env.example", ".gitignore"}  # of what begins with a dot, only this is ours


@dataclass(frozen=True)
class Source:
    """One file: its path from the root with forward slashes, its text, its tree."""

    path: str
    text: str
    tree: ast.Module

    @classmethod
    def of(cls, path: str, text: str) -> "Source":
        """Parse a text as if it stood at `path`."""
        return cls(path, text, ast.parse(text))


@functools.cache
def product() -> tuple[Source, ...]:
    """Return every file of the packages."""
    return tuple(_read(path) for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py")))


@functools.cache
def proofs() -> tuple[Source, ...]:
    """Return every file of the tests."""
    return tuple(_read(path) for path in sorted((ROOT / "tests").rglob("*.py")))


@functools.cache
def everything() -> tuple[tuple[str, str], ...]:
    """Return path and text of every text file of the tree."""
    found = []
    for path in sorted(ROOT.rglob("*")):
        relative = path.relative_to(ROOT)
        if path.is_file() and not any(map(_skipped, relative.parts)) and path.stat().st_size < 1_000_000:
            try:
                found.append((relative.as_posix(), path.read_text(encoding="utf-8")))
            except UnicodeDecodeError:
                continue
    return tuple(found)


def _skipped(name: str) -> bool:
    return name in SKIPPED or (name.startswith(".") and name not in DOTTED)


def _read(path: Path) -> Source:
    return Source.of(path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8"))
