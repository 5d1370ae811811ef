"""Connecting to Temporal: Temporal's own profiles and variables, ours on top, every call bounded.

Flow: **connect** → namespace → starts | schedules | cases.
"""

import asyncio
import logging
from collections.abc import Awaitable, Sequence
from datetime import timedelta
from typing import TypeAlias, TypeVar

from temporalio.client import Client, Interceptor
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.envconfig import ClientConfig

from holdfast.errors import ErrorCode, RejectedInput, Unavailable
from holdfast.settings.process import ProcessSettings
from holdfast.temporal.errors import classify, of_workflow

log = logging.getLogger(__name__)
T = TypeVar("T")

TemporalClient: TypeAlias = Client
"""What those annotate with who may not import the SDK's client."""

DEFAULT_ADDRESS = "127.0.0.1:7233"
CONNECT_WITHIN = timedelta(seconds=5)
CALL_WITHIN = timedelta(seconds=10)
RETRY_WAIT = timedelta(seconds=1)


async def connect(
    settings: ProcessSettings, *, interceptors: Sequence[Interceptor] = (), identity: str | None = None
) -> Client:
    """Connect once. Raises Unavailable `temporal.unavailable`, RejectedInput `config.invalid` for a broken profile."""
    try:
        options = ClientConfig.load_client_connect_config()
    except (ValueError, RuntimeError, OSError) as error:
        raise RejectedInput(ErrorCode.CONFIG_INVALID, f"Temporal's own configuration: {error}") from error
    target = options["target_host"] = settings.temporal_address or options.get("target_host", DEFAULT_ADDRESS)
    if settings.temporal_namespace is not None:
        options["namespace"] = settings.temporal_namespace
    try:
        async with asyncio.timeout(CONNECT_WITHIN.total_seconds()):
            return await Client.connect(
                **options,
                data_converter=pydantic_data_converter,
                interceptors=interceptors,
                identity=identity,
            )
    except Exception as error:
        known = classify(error)
        raise Unavailable(ErrorCode.TEMPORAL_UNAVAILABLE, f"Temporal at {target}: {known.message}") from error


async def bounded_call(call: Awaitable[T], within: timedelta = CALL_WITHIN) -> T:
    """Await one call of the client for at most `within` in all, retries of the SDK included.

    Raises what `holdfast.temporal.errors.classify` makes of a failure.
    """
    try:
        async with asyncio.timeout(within.total_seconds()):
            return await call
    except Exception as error:
        raise classify(error) from error


async def workflow_call(call: Awaitable[T], workflow_id: str, within: timedelta = CALL_WITHIN) -> T:
    """Await one call on one workflow; as `bounded_call`, but its absence is RejectedInput `not_found`."""
    try:
        async with asyncio.timeout(within.total_seconds()):
            return await call
    except Exception as error:
        raise of_workflow(error, workflow_id) from error
