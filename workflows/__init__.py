"""Everything in this package is replayed code, and nothing else is.

The rules of replay:

* `calls.py` is the only file that issues commands (activities, children, timers, search attributes).
* Time is `workflow.now()`. No clock, no random, no I/O, no environment, no telemetry, no iteration over sets.
* Whatever arrives from outside is `RawValue`, read inside `try`: unreadable input is an outcome, not a stuck run.
* A change to the order or kind of commands needs `workflow.patched`; the histories under `tests/replay/histories` are
  replayed in every test run and are never edited.
"""
