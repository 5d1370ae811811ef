"""What a gateway asks the workers, who alone know Temporal: one question, one answer, over core NATS in a queue group.

Flow: `GET /events/…` → **ask** → NATS → **Answering** in one of the workers → Temporal.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from datetime import timedelta

from nats.aio.client import Client
from nats.aio.msg import Msg
from pydantic import ValidationError

from holdfast.bus.connect import Bus
from holdfast.bus.errors import classify
from holdfast.bus.requests import Requests
from holdfast.contracts.status import DeliveriesAnswer, DeliveriesQuestion
from holdfast.errors import ErrorCode, HoldfastError, Unavailable

log = logging.getLogger(__name__)

SUBJECT = "holdfast.ask.deliveries"
QUEUE = "holdfast-workers"
ANSWER_WITHIN = timedelta(seconds=5)
MAX_ANSWER = 900_000  # bytes; the default max_payload of a NATS server is 1 MiB
AT_ONCE = 16  # questions that one worker works on
LOOK = timedelta(milliseconds=500)

Answerer = Callable[[DeliveriesQuestion], Awaitable[DeliveriesAnswer]]


async def ask(bus: Bus, question: DeliveriesQuestion, *, within: timedelta = ANSWER_WITHIN) -> DeliveriesAnswer:
    """Ask any worker. Raises Unavailable: nobody answers, or not in time."""
    try:
        raw = await bus.part(Requests).request(SUBJECT, question.model_dump_json().encode(), timeout=within)
        return DeliveriesAnswer.model_validate_json(raw)
    except ValidationError as error:
        raise Unavailable(ErrorCode.NOT_READY, "a worker gave an answer that cannot be read") from error
    except Unavailable as error:
        late = error.code is ErrorCode.BUS_TIMEOUT
        what = f"no worker answered within {within.total_seconds():g} s" if late else "no worker answers"
        raise Unavailable(ErrorCode.NOT_READY, f"{what}: is one running, and does it reach Temporal?") from error


class Answering:
    """The worker's side."""

    def __init__(self, bus: Bus, answer: Answerer) -> None:
        self._bus = bus
        self._answer = answer
        self._room = asyncio.Semaphore(AT_ONCE)
        self._working: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Answer until cancelled, on whichever connection there is."""
        current: Client | None = None
        try:
            while True:
                with contextlib.suppress(HoldfastError):
                    client = self._bus.client
                    if client is not current:
                        await self._subscribe(client)
                        current = client
                await asyncio.sleep(LOOK.total_seconds())
        finally:
            for task in self._working:
                task.cancel()
            await asyncio.gather(*self._working, return_exceptions=True)

    async def _subscribe(self, client: Client) -> None:
        try:
            await client.subscribe(SUBJECT, queue=QUEUE, cb=self._asked)
        except Exception as error:
            raise classify(error) from error

    async def _asked(self, message: Msg) -> None:
        task = asyncio.create_task(self._work(message), name="answering")
        self._working.add(task)
        task.add_done_callback(self._working.discard)

    async def _work(self, message: Msg) -> None:
        try:
            async with asyncio.timeout(ANSWER_WITHIN.total_seconds()), self._room:
                question = DeliveriesQuestion.model_validate_json(message.data)
                answer = await self._answer(question)
        except ValidationError:
            return  # not one of our gateways
        except TimeoutError:
            answer = DeliveriesAnswer(trouble="Temporal did not answer in time")
        except Exception as error:
            log.exception("status.answer_failed")
            answer = DeliveriesAnswer(trouble=f"a bug in the worker: {type(error).__name__}")
        with contextlib.suppress(Exception):  # whoever asked finds that nobody answered
            await self._bus.client.publish(message.reply, fitting(answer))


def fitting(answer: DeliveriesAnswer) -> bytes:
    """Return an answer as it is sent: without results where these make it too large, else without the rest."""
    raw = answer.model_dump_json().encode()
    if len(raw) <= MAX_ANSWER:
        return raw
    smaller = tuple(each.model_copy(update={"result": None}) for each in answer.deliveries)
    raw = answer.model_copy(update={"deliveries": smaller}).model_dump_json().encode()
    if len(raw) <= MAX_ANSWER:
        return raw
    return (
        DeliveriesAnswer(trouble="what Temporal knows of this event is too much for one answer")
        .model_dump_json()
        .encode()
    )
