"""Parsers of what other processes answer and what files hold: issuers, workers, gateways, people's samples."""

import asyncio
import json
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from hypothesis import strategies as st
from pydantic import ValidationError

from gateway import key_sets
from holdfast.argo import manifests
from holdfast.bus import lookup, news, objects
from holdfast.cli import cloudevent, samples, triggers
from holdfast.contracts.rejections import Rejection
from holdfast.contracts.status import DeliveriesAnswer, DeliveriesQuestion
from holdfast.domain import actions, client_certificates, functions, json_scan, mapping, windows
from holdfast.domain.access import ApiConfig
from holdfast.domain.expressions import EVENT
from holdfast.domain.schemes import KeySet
from holdfast.domain.sources import SourceConfig
from holdfast.settings import access
from tests.property.foreign import NOW, data, documents, mostly, raw, records, text
from tests.property.fuzzing import Parser

SOURCE = {"shop": SourceConfig(dangerous_unverified=True)}


def read_sample(given: tuple[bytes, str]) -> None:
    """Read a file of events."""
    content, form = given
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "event.json"
        file.write_bytes(content)
        samples.read_events(file, samples.Sample(form=form), SOURCE)  # type: ignore[arg-type]


def read_token_file(content: bytes) -> None:
    """Read the hash of the local token."""
    with tempfile.TemporaryDirectory() as directory:
        (Path(directory) / access.HASH_FILE).write_bytes(content)
        access.load_access(ApiConfig(), Path(directory))


def called(given: tuple[str, list[Any]]) -> None:
    """Call one of the functions that expressions have, with what an event holds."""
    name, values = given
    function = next(one for one in functions.standard() if one.name == name)
    arguments = [f"event.data.a{number % len(values)}" for number in range(len(function.parameters))]
    seen = {"data": {f"a{number}": value for number, value in enumerate(values)}}
    EVENT.compile(f"{name}({', '.join(arguments)})").evaluate(EVENT.bind(event=seen))


def heard(content: bytes) -> None:
    """Hear a message that claims to be news."""
    room = news.Newsroom(None)  # type: ignore[arg-type]
    with room.watch("shop", "1"):
        message = SimpleNamespace(subject=news.news_subject("shop", "1"), data=content)
        asyncio.run(room._heard(message))  # type: ignore[arg-type]


def imported(given: Any) -> None:
    """Import something as an Argo manifest."""
    content = given.decode("utf-8", "replace") if isinstance(given, bytes) else json.dumps(given)
    manifests.translate(manifests.documents(content, "x.yaml"))


manifest = st.fixed_dictionaries(
    {"kind": st.sampled_from(["Sensor", "EventSource", "CronWorkflow"])},
    optional={
        "metadata": data | st.just({"name": "a"}),
        "spec": data
        | st.fixed_dictionaries(
            {},
            optional={
                "dependencies": data
                | st.lists(
                    st.fixed_dictionaries(
                        {"name": text, "eventSourceName": text, "eventName": text},
                        optional={"filters": data | st.dictionaries(st.sampled_from(["data", "time", "script"]), data)},
                    ),
                    max_size=2,
                ),
                "triggers": data | st.lists(st.fixed_dictionaries({"template": data}), max_size=2),
                "webhook": data,
                "github": data,
                "schedule": data,
                "schedules": data,
            },
        ),
    },
)

REPLIES: dict[str, Parser] = {
    "description of an issuer": Parser(
        ("gateway.key_sets",),
        lambda given: key_sets._named(given, KeySet("https://a.example/.well-known/openid-configuration")),
        mostly(records("jwks_uri", "issuer")),
        (ValueError, RecursionError),
    ),
    "news of an event": Parser(("holdfast.bus.news",), heard, mostly(records("kind", "source", "event_id")), ()),
    "until when it is awaited": Parser(
        ("holdfast.bus.news",), lambda given: news.awaited_until({news.AWAITED_UNTIL: given}), text, ()
    ),
    "question to a worker": Parser(
        ("holdfast.bus.asking",),
        DeliveriesQuestion.model_validate_json,
        mostly(records("source", "event_id", "dead_letters")),
        (ValidationError,),
    ),
    "answer of a worker": Parser(
        ("holdfast.bus.asking",),
        DeliveriesAnswer.model_validate_json,
        mostly(records("deliveries", "cases", "trouble")),
        (ValidationError,),
    ),
    "refused request": Parser(
        ("holdfast.bus.rejections",),
        Rejection.model_validate_json,
        mostly(records("source", "code", "at")),
        (ValidationError,),
    ),
    "description of a body": Parser(
        ("holdfast.bus.objects",),
        lambda given: objects.read_description(lookup.Raw(1, "a", given, b"", NOW)),
        mostly(records("name", "nuid", "size", "digest", "metadata")),
        (),
    ),
    "large JSON": Parser(("holdfast.domain.json_scan",), json_scan.scan, documents),
    "forwarded certificate": Parser(
        ("holdfast.domain.client_certificates",),
        lambda given: client_certificates.read_forwarded(*given),
        st.tuples(
            st.sampled_from(["client-cert", "x-client-cert", "x-forwarded-client-cert", "x-forwarded-tls-client-cert"]),
            raw | st.sampled_from([b":YQ==:", b"Hash=a;Cert=%2d", b"-----BEGIN CERTIFICATE-----%0AYQ==", b"MIIB"]),
        ),
        (),
    ),
    "roots of clients": Parser(
        ("holdfast.domain.client_certificates",), client_certificates.read_roots, text, (ValueError,)
    ),
    "function of expressions": Parser(
        ("holdfast.domain.functions",),
        called,
        st.tuples(st.sampled_from([one.name for one in functions.standard()]), st.lists(data, min_size=1, max_size=3)),
    ),
    "search attribute": Parser(
        ("holdfast.domain.mapping",),
        lambda given: mapping._shaped("a", *given),
        st.tuples(st.sampled_from(["keyword", "text", "int", "double", "bool", "datetime", "keyword_list"]), data),
        (mapping.MappingError,),
    ),
    "search attribute of a delivery": Parser(
        ("holdfast.domain.actions",),
        actions.SearchAttribute.model_validate,
        st.fixed_dictionaries({"name": text, "type": st.sampled_from(["datetime", "int"]), "value": data | text}),
        (ValidationError,),
    ),
    "days": Parser(("holdfast.domain.windows",), windows.parse_days, text, (ValueError,)),
    "time of day": Parser(("holdfast.domain.windows",), windows.parse_time, text, (ValueError,)),
    "window": Parser(
        ("holdfast.domain.windows",),
        windows.WindowConfig.model_validate,
        st.dictionaries(st.sampled_from(["days", "from", "to", "timezone", "of"]), data, max_size=5),
        (ValidationError,),
    ),
    "hash of the local token": Parser(
        ("holdfast.settings.access",), read_token_file, mostly(records("scope", "hash")), ()
    ),
    "file of events": Parser(
        ("holdfast.cli.samples",),
        read_sample,
        st.tuples(
            mostly(records("context", "data", "data_raw", "specversion", "id", "source", "type", "envelope", "event")),
            st.sampled_from(["auto", "envelope", "cloudevent", "argo", "payload"]),
        ),
    ),
    "CloudEvent to send": Parser(
        ("holdfast.cli.cloudevent",),
        lambda given: cloudevent.as_cloudevent("structured", given, "application/json", {}),
        documents,
        (),
    ),
    "time of a sample": Parser(("holdfast.cli.triggers",), triggers._time, text),
    "Argo manifest": Parser(("holdfast.argo.filters", "holdfast.argo.manifests"), imported, manifest | raw),
}
