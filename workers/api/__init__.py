"""The admin API: HTTP over the same functions that the command line calls, in the worker's process, on its own port.

    door (Host, Origin, size, time) → guard (token, scope) → desk (audit, work, audit) → answer or problem

One file per resource; each route is thin. Read `docs/api.md` for what it promises to callers.
"""
