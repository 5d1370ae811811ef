"""What Holdfast needs of its namespace, made or verified before anything is started: retention and search attributes.

Starting with an unknown search attribute is an invalid request; without this check every event would be a dead letter.
Flow: connect → **ensure_namespace** → dispatch.
"""

import logging
from collections.abc import Mapping
from datetime import timedelta

from google.protobuf.duration_pb2 import Duration
from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.namespace.v1 import NamespaceConfig
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest, ListSearchAttributesRequest
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest, UpdateNamespaceRequest
from temporalio.client import Client

from holdfast.contracts.names import SEARCH_ATTRIBUTES
from holdfast.errors import ErrorCode, HoldfastError, Unavailable
from holdfast.temporal.connect import bounded_call

log = logging.getLogger(__name__)

_TYPES = {
    "keyword": IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD,
    "text": IndexedValueType.INDEXED_VALUE_TYPE_TEXT,
    "int": IndexedValueType.INDEXED_VALUE_TYPE_INT,
    "double": IndexedValueType.INDEXED_VALUE_TYPE_DOUBLE,
    "bool": IndexedValueType.INDEXED_VALUE_TYPE_BOOL,
    "datetime": IndexedValueType.INDEXED_VALUE_TYPE_DATETIME,
    "keyword_list": IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD_LIST,
}
LEAST_RETENTION = timedelta(days=7)  # Temporal forgets ids with it, and senders retry for days
PROBE = timedelta(seconds=5)


async def ensure_namespace(client: Client, retention: timedelta, yours: Mapping[str, str] | None = None) -> None:
    """Raise the retention to at least `retention` and register what is missing.

    `yours` are the search attributes that triggers set, name to type: they are verified and never registered, because
    a namespace has few of each type.

    Raises Unavailable: `temporal.misconfigured` where it cannot be made right, `temporal.unavailable` otherwise.
    """
    await _ensure_retention(client, max(retention, LEAST_RETENTION))
    await _verify_yours(client, yours or {})
    missing = await _missing(client)
    if not missing:
        return
    request = AddSearchAttributesRequest(
        namespace=client.namespace,
        search_attributes=dict.fromkeys(missing, IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD),
    )
    try:
        await bounded_call(client.operator_service.add_search_attributes(request))
        log.info("temporal.search_attributes_added", extra={"names": list(missing)})
    except HoldfastError as error:
        if error.code == ErrorCode.TEMPORAL_UNAVAILABLE:
            raise
        raise Unavailable(
            ErrorCode.TEMPORAL_MISCONFIGURED,
            f"the namespace {client.namespace} lacks the search attributes {', '.join(missing)} and they cannot be"
            f" registered ({error.message}); register each: temporal operator search-attribute create"
            f" --namespace {client.namespace} --name NAME --type Keyword",
        ) from error
    await verify_search_attributes(client)


async def verify_search_attributes(client: Client) -> None:
    """Raise Unavailable `temporal.misconfigured` where a search attribute is missing or of another type."""
    missing = await _missing(client)
    if missing:
        raise Unavailable(
            ErrorCode.TEMPORAL_MISCONFIGURED,
            f"the namespace {client.namespace} lacks the search attributes {', '.join(missing)}",
        )


async def _verify_yours(client: Client, yours: Mapping[str, str]) -> None:
    """Refuse to start with an attribute that is not there: each run that sets it could never begin, nor fail."""
    if not yours:
        return
    request = ListSearchAttributesRequest(namespace=client.namespace)
    have = (await bounded_call(client.operator_service.list_search_attributes(request), PROBE)).custom_attributes
    wrong = [name for name, kind in yours.items() if have.get(name) != _TYPES[kind]]
    if wrong:
        spelled = "; ".join(f"--name {name} --type {yours[name].title().replace('_L', 'L')}" for name in wrong)
        raise Unavailable(
            ErrorCode.TEMPORAL_MISCONFIGURED,
            f"triggers set search attributes that the namespace {client.namespace} lacks, or has with another type:"
            f" temporal operator search-attribute create --namespace {client.namespace} {spelled}",
        )


async def retention_of(client: Client) -> timedelta:
    """Return how long Temporal remembers a workflow that has ended. Raises Unavailable."""
    request = DescribeNamespaceRequest(namespace=client.namespace)
    described = await bounded_call(client.workflow_service.describe_namespace(request), PROBE)
    return described.config.workflow_execution_retention_ttl.ToTimedelta()


async def _missing(client: Client) -> tuple[str, ...]:
    request = ListSearchAttributesRequest(namespace=client.namespace)
    listed = await bounded_call(client.operator_service.list_search_attributes(request), PROBE)
    have = {**listed.system_attributes, **listed.custom_attributes}
    keyword = IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD
    wrong = [name for name in SEARCH_ATTRIBUTES if name in have and have[name] != keyword]
    if wrong:
        raise Unavailable(
            ErrorCode.TEMPORAL_MISCONFIGURED,
            f"the search attributes {', '.join(wrong)} of the namespace {client.namespace} are not of type Keyword",
        )
    return tuple(name for name in SEARCH_ATTRIBUTES if name not in have)


async def _ensure_retention(client: Client, least: timedelta) -> None:
    service = client.workflow_service
    described = await bounded_call(
        service.describe_namespace(DescribeNamespaceRequest(namespace=client.namespace)), PROBE
    )
    actual = described.config.workflow_execution_retention_ttl.ToTimedelta()
    if actual >= least:
        return
    ttl = Duration()
    ttl.FromTimedelta(least)
    request = UpdateNamespaceRequest(
        namespace=client.namespace, config=NamespaceConfig(workflow_execution_retention_ttl=ttl)
    )
    try:
        await bounded_call(service.update_namespace(request))
        log.info("temporal.retention_raised", extra={"from_days": actual.days, "to_days": least.days})
    except HoldfastError as error:
        if error.code == ErrorCode.TEMPORAL_UNAVAILABLE:
            raise
        if actual < LEAST_RETENTION:
            raise Unavailable(
                ErrorCode.TEMPORAL_MISCONFIGURED,
                f"the namespace {client.namespace} keeps workflows for {actual}, so duplicates after that are not"
                f" recognised, and the retention cannot be raised ({error.message}): temporal operator namespace"
                f" update --namespace {client.namespace} --retention {least.days}d",
            ) from error
        log.warning("temporal.retention_not_raised", extra={"days": actual.days, "reason": error.message})
