"""What a fuzzed parser is."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from holdfast.errors import HoldfastError

OURS: tuple[type[Exception], ...] = (HoldfastError,)


@dataclass(frozen=True)
class Parser:
    """`modules` are those that it goes through; only `raises` may come out of it."""

    modules: tuple[str, ...]
    call: Callable[[Any], object]
    given: st.SearchStrategy[Any]
    raises: tuple[type[Exception], ...] = OURS
