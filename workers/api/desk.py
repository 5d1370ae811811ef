"""What every route works with, and how an operation is done: written down, carried out, its outcome written down.

An operation that cannot be written down first is not carried out. Flow: guard → **desk** → the function that the
command line calls too.
"""

import json
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeVar

from fastapi import Request
from pydantic import BaseModel
from temporalio.client import Client

from holdfast import ids
from holdfast.bus.audit import record
from holdfast.bus.connect import Bus
from holdfast.clock import Clock
from holdfast.contracts.audit import MAX_TARGET, AuditEntry
from holdfast.contracts.moves import MoveInput
from holdfast.domain.access import Principal
from holdfast.errors import ErrorCode, HoldfastError, RejectedInput, Unavailable
from holdfast.settings.file import LoadedConfig
from holdfast.settings.live import LiveConfig
from workers.api.guard import peer_of
from workers.api.problems import status_of

log = logging.getLogger(__name__)
T = TypeVar("T")
Given = TypeVar("Given", bound=MoveInput)

MAX_KEY = 200  # characters of an Idempotency-Key
MAX_BY = 120  # characters of a person's name; the token's is added
DETAIL = 200  # characters of one detail in the audit log


@dataclass(frozen=True, slots=True)
class Operation:
    """What is asked for: its name in the audit log, on what, and harmless details."""

    action: str
    target: str
    details: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Desk:
    """The worker's own connections and configuration; `temporal` is None until the worker has reached it."""

    bus: Bus
    loaded: LoadedConfig | LiveConfig
    clock: Clock
    ui: str | None
    temporal: Callable[[], Client | None]

    def client(self) -> Client:
        """Return the connection to Temporal. Raises Unavailable."""
        client = self.temporal()
        if client is None:
            raise Unavailable(
                ErrorCode.TEMPORAL_UNAVAILABLE,
                "this worker has not reached Temporal yet",
                retry_after=timedelta(seconds=5),
            )
        return client

    async def carry_out(self, request: Request, operation: Operation, work: Callable[[], Awaitable[T]]) -> T:
        """Do one operation between its two entries in the audit log. Raises Unavailable where the first cannot be."""
        began = time.monotonic()
        entry = self._entry(request, operation)
        await record(self.bus, entry)
        update: dict[str, Any] = {"outcome": "failed", "code": str(ErrorCode.NOT_READY), "status": 503}
        try:
            done = await work()
            update = {"outcome": "done", "status": 200}
        except HoldfastError as error:
            outcome = "failed" if isinstance(error, Unavailable) else "refused"
            update = {"outcome": outcome, "code": str(error.code), "status": int(status_of(error))}
            raise
        except Exception:
            update = {"outcome": "failed", "code": str(ErrorCode.DEFECT), "status": 500}
            raise
        finally:  # also when the time is up, and the request is cancelled
            update["took_ms"] = round((time.monotonic() - began) * 1_000)
            await self._end(entry.model_copy(update=update))
        return done

    async def refuse(self, request: Request, principal: Principal) -> None:
        """Write down that a token was refused what it has no scope for; nothing depends on it."""
        route = request.scope["route"]
        asked = Operation(str(route.operation_id), str(next(iter(request.path_params.values()), "")))
        entry = self._entry(request, asked, principal)
        code = ErrorCode.ACCESS_FORBIDDEN
        await self._end(entry.model_copy(update={"outcome": "refused", "code": str(code), "status": 403}))

    def _entry(self, request: Request, operation: Operation, by: Principal | None = None) -> AuditEntry:
        principal: Principal = by or request.state.principal
        return AuditEntry(
            id=request.state.request_id,
            at=self.clock.now(),
            by=principal.name,
            scope=str(principal.scope),
            action=operation.action,
            target=operation.target[:MAX_TARGET],
            details={name: str(value)[:DETAIL] for name, value in operation.details.items() if value},
            outcome="started",
            peer=peer_of(request),
        )

    async def _end(self, entry: AuditEntry) -> None:
        try:
            await record(self.bus, entry)
        except HoldfastError as error:
            facts = {"operation": entry.action, "request_id": entry.id, "code": error.code}
            log.error("audit.incomplete", extra=facts)  # noqa: TRY400 - expected, and said whole


def signed(request: Request, given: Given) -> Given:
    """Return the input with who asks: the token's name, and beside it the person that the caller names."""
    name = request.state.principal.name
    if "by" not in given.model_fields_set:
        return given.model_copy(update={"by": name})
    if len(given.by) > MAX_BY:
        raise RejectedInput(ErrorCode.INPUT_INVALID, f"by: at most {MAX_BY} characters")
    return given.model_copy(update={"by": f"{given.by} ({name})"})


def person(request: Request, by: str | None) -> str:
    """Return who asks, for notes that are text."""
    name = str(request.state.principal.name)
    return name if not by else f"{by[:MAX_BY]} ({name})"


def update_id(request: Request, given: BaseModel) -> str | None:
    """Return the Update id of a request with an Idempotency-Key: equal for the same key, token, route and input."""
    keys = request.headers.getlist("idempotency-key")
    if not keys:
        return None
    key = keys[0].strip('"')
    if len(keys) > 1 or not 0 < len(key) <= MAX_KEY or not key.isprintable():
        raise RejectedInput(ErrorCode.INPUT_INVALID, f"Idempotency-Key: one, of 1 to {MAX_KEY} printable characters")
    asked = json.dumps(given.model_dump(mode="json"), sort_keys=True)
    return "api-" + ids.fingerprint(request.state.principal.name, key, request.url.path, asked)


def no_key(request: Request) -> None:
    """Refuse an Idempotency-Key where repeating is not recognised by it."""
    if "idempotency-key" in request.headers:
        raise RejectedInput(ErrorCode.INPUT_INVALID, "this operation takes no Idempotency-Key")
