"""The state of lanes on the bus: many questions of one process answered with one compare-and-set.

Flow: deliver → **enter** → send → **leave**. What is granted was written first, so four processes grant together what
one would. A question that finds the lane full is asked again, within its patience, whenever a place may be free.
"""

import asyncio
from collections import deque
from dataclasses import dataclass, field
from typing import Final

from pydantic import ValidationError

from holdfast.bus.connect import Bus
from holdfast.bus.errors import classify
from holdfast.bus.registers import LANES, read_register, write_register
from holdfast.clock import Clock
from holdfast.domain import lanes
from holdfast.domain.lanes import Entry, Exit, Full, Granted, LaneState, Later
from holdfast.domain.pressure import DeliveryLimits
from holdfast.errors import ErrorCode, Unavailable

LOOK_AGAIN: Final = 0.05  # seconds between looks at a full lane
FRESH: Final = 0.25  # seconds that a state is believed where nothing needs to be written
TRIES: Final = 40  # lost races in a row; each means that another process got on


@dataclass(eq=False)
class _Question:
    entry: Entry | None
    exit: Exit | None
    until: float  # on the loop's clock: when its patience ends
    answer: "asyncio.Future[Granted | Later | None]"


@dataclass(eq=False)
class Lane:
    """One lane, as one process sees it."""

    bus: Bus
    key: str
    rule: DeliveryLimits
    clock: Clock
    state: LaneState = field(default_factory=LaneState)
    _revision: int = 0
    _read_at: float = -1e9
    _waiting: deque[_Question] = field(default_factory=deque)
    _task: asyncio.Task[None] | None = None

    async def enter(self, entry: Entry) -> Granted | Later:
        """Ask to begin one attempt. Raises Unavailable where the bus cannot be asked: then nothing is granted."""
        answer = await self._ask(entry, None, entry.patience)
        if answer is None:
            raise Unavailable(ErrorCode.BUS_UNAVAILABLE, "the lane gave no answer")
        return answer

    async def leave(self, done: Exit) -> None:
        """Give back what was granted. Raises Unavailable: then it is given back when its time is over."""
        await self._ask(None, done, 0)

    async def _ask(self, entry: Entry | None, done: Exit | None, patience: float) -> Granted | Later | None:
        loop = asyncio.get_running_loop()
        question = _Question(entry, done, loop.time() + patience, loop.create_future())
        self._waiting.append(question)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._work(), name=f"lane {self.key}")
        return await question.answer

    async def _work(self) -> None:
        """Answer everybody who asks, in the order of asking, until nobody does."""
        try:
            while self._waiting:
                await self._round()
                if self._waiting and all(question.entry for question in self._waiting):
                    await asyncio.sleep(LOOK_AGAIN)  # all of them found it full
        except Exception as failure:  # noqa: BLE001 - whoever asks must be answered, whatever it was
            error = classify(failure)
            self._read_at = -1e9
            while self._waiting:
                question = self._waiting.popleft()
                if not question.answer.done():
                    question.answer.set_exception(error)

    async def _round(self) -> None:
        loop = asyncio.get_running_loop()
        for _ in range(TRIES):
            if loop.time() - self._read_at > FRESH:
                await self._read()
            asked = [question for question in self._waiting if not question.answer.done()]
            state, answers = self._answers(asked, loop.time())
            if state is not self.state and state != self.state:
                written = await write_register(
                    self.bus,
                    LANES,
                    self.key,
                    state.model_dump_json(exclude_defaults=True).encode(),
                    after=self._revision,
                )
                if written is None:
                    await self._read()
                    continue
                self.state, self._revision, self._read_at = state, written, loop.time()
            for question, answer in zip(asked, answers, strict=True):
                if not isinstance(answer, Full) and not question.answer.done():
                    question.answer.set_result(answer)
            kept = [q for q in self._waiting if not q.answer.done()]
            self._waiting.clear()
            self._waiting.extend(kept)
            return
        raise Unavailable(ErrorCode.BUS_UNAVAILABLE, f"the state of lane {self.key} is written by too many at once")

    def _answers(self, asked: list[_Question], at: float) -> tuple[LaneState, list[Granted | Later | Full | None]]:
        """Answer all at once, those who leave before those who enter."""
        now, state = self.clock.now().timestamp(), self.state
        for question in asked:
            if question.exit is not None:
                state = lanes.leave(state, self.rule, question.exit, now)
        answers: list[Granted | Later | Full | None] = []
        for question in asked:
            answer: Granted | Later | Full | None = None
            if question.entry is not None:
                state, answer = lanes.enter(state, self.rule, question.entry, now)
                if isinstance(answer, Full) and at >= question.until:
                    state, answer = lanes.line_up(state, self.rule, question.entry, now)
            answers.append(answer)
        return state, answers

    async def _read(self) -> None:
        raw, self._revision = await read_register(self.bus, LANES, self.key)
        self.state = parse_state(raw)
        self._read_at = asyncio.get_running_loop().time()


def parse_state(raw: bytes) -> LaneState:
    """Read a state; one that cannot be read, as another version may have written it, begins anew."""
    try:
        return LaneState.model_validate_json(raw) if raw else LaneState()
    except ValidationError:
        return LaneState()
