"""What `holdfast check` finds in the section `run` of a trigger: mappings, hosts, actions of one's own.

Flow: holdfast.yaml → its models → **findings** → every error at once, with its line.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from holdfast.domain import registered
from holdfast.domain.expressions import EVENT, JOINED, Expression, Language
from holdfast.domain.mapping import compile_one, mappings
from holdfast.domain.registered import RegisteredAction
from holdfast.domain.runs import HttpRun, RunConfig
from holdfast.domain.templates import Template
from holdfast.domain.triggers import TriggerConfig
from holdfast.errors import RejectedInput

Finding = tuple[tuple[int | str, ...], str, str]


def findings(triggers: Mapping[str, TriggerConfig], known: Mapping[str, RegisteredAction] | None) -> Iterator[Finding]:
    """Yield (place, message, hint). `known` None: the actions of the user's own were not loaded."""
    for name, trigger in triggers.items():
        language = EVENT if trigger.join is None else JOINED
        yield from _of_run(trigger.run, language, ("triggers", name, "run"), known)
        if trigger.otherwise is not None:
            yield from _of_run(trigger.otherwise, language, ("triggers", name, "otherwise"), known)


def _of_run(
    run: RunConfig, language: Language, root: tuple[str, ...], known: Mapping[str, RegisteredAction] | None
) -> Iterator[Finding]:
    for mapped in mappings(run, language):
        try:
            compiled = compile_one(mapped)
        except RejectedInput as error:
            yield (*root, *mapped.place), error.message, ""
            continue
        if mapped.kind == "url":
            http: Any = run
            for step in mapped.place[:-1]:
                http = http[step] if isinstance(step, int) else getattr(http, step)
            yield from _guardable(http, compiled, (*root, *mapped.place[:-1]))
    for place, action in run.placed if known is not None else ():
        if action.activity is not None:
            for where, message, hint in registered.problems(action.activity, known or {}):
                yield (*root, *place, "activity", *where), message, hint


def _guardable(http: HttpRun, url: Expression | Template, path: tuple[int | str, ...]) -> Iterator[Finding]:
    """Find a host that an event chooses and a proxy resolves, so that nobody here can look where the call goes."""
    chosen = isinstance(url, Template) and url.whole is not None
    if chosen and http.proxy is not None and not (http.allow_hosts or http.dangerous_allow_private_addresses):
        yield (
            (*path, "proxy"),
            "the event chooses the host, and behind a proxy its address cannot be checked",
            "name the hosts in allow_hosts",
        )
    if not chosen and http.allow_hosts:
        yield (*path, "allow_hosts"), "the host is written out in url: nothing else can be called", "leave it out"
