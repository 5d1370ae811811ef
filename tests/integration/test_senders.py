"""Every published signature, over HTTP, against a gateway that is configured as a person would."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from ruamel.yaml import YAML

from tests.gateways import fresh
from tests.senders import DESCRIBED, SENDERS, URL, send
from tests.servers import NatsServer
from tests.vectors import NOW, vectors

pytestmark = pytest.mark.integration


class SetClock:
    """A clock that stands where the test puts it; what measures durations runs on."""

    def __init__(self) -> None:
        self.moment = NOW

    def now(self) -> datetime:
        """Return the moment."""
        return self.moment

    def monotonic(self) -> float:
        """Return seconds that never go back."""
        import time

        return time.monotonic()


def source_of(vector: dict[str, Any], directory: Path) -> dict[str, Any]:
    """Return the source that a receiver of this vector would have configured, its secrets in files."""
    secret = vector["secret"]
    given = secret if isinstance(secret, list) else [secret]
    verify: dict[str, Any] = {"preset": vector["preset"]}
    texts = []
    for one in given:
        if isinstance(one, dict) and "hex" in one:
            texts.append(one["hex"])
            verify["key_format"] = "hex"
        else:
            texts.append(one["cert_pem"] if isinstance(one, dict) else one)
    files = [f"{vector['id']}.{index}" for index in range(len(texts))]
    for file, text in zip(files, texts, strict=True):
        (directory / file).write_text(text)
    verify["secrets"] = [f"file:{file}" for file in files]
    for name, value in vector.get("generic", {}).items():
        verify["algorithm" if name == "hash" else name] = value
    if vector["preset"] == "aws-sns":
        verify["topics"] = [json.loads(vector["body"])["TopicArn"]]
    if vector["now"] is None:
        verify["tolerance"] = "36500d"
    elif "tolerance" in vector:
        verify["tolerance"] = f"{vector['tolerance']}s"
    if "header" in vector:
        verify["header"] = vector["header"]
    if "url" in vector:
        verify["public_url"] = vector["url"].partition("?")[0]
    return {"verify": verify, "methods": ["POST", "GET"]}


async def post(http: httpx.AsyncClient, vector: dict[str, Any]) -> httpx.Response:
    """Send the vector to its own source."""
    query = urlsplit(vector.get("url", "")).query
    return await http.request(
        vector.get("method", "POST"),
        f"/hooks/{vector['id']}{'?' + query if query else ''}",
        content=vector["body"].encode(),
        headers=vector["headers"],
    )


def asks(vector: dict[str, Any]) -> bool:
    """Whether the vector is no event but what the provider asks before it sends any."""
    return (vector["preset"], vector["body"]) == ("discord", '{"type":1}') or "Confirmation" in vector["body"]


class Nobody:
    """Confirms nothing: no test leaves this machine."""

    def __call__(self, source: str, url: str) -> None:
        """Do nothing."""

    async def close(self) -> None:
        """Nothing is under way."""


async def test_every_vector_is_judged_over_http_as_it_was_published(nats_server: NatsServer, tmp_path: Path) -> None:
    """What should hold is stored and answered 2xx; what should not is 401; nothing is anything else."""
    cases = vectors()
    clock = SetClock()
    with (tmp_path / "config").open("w") as file:
        YAML().dump({"version": 1, "sources": {case["id"]: source_of(case, tmp_path) for case in cases}}, file)
    config = (tmp_path / "config").read_text()
    wrong = []
    async with fresh(nats_server, tmp_path, config, clock, Nobody()) as gateway:
        for case in cases:
            clock.moment = datetime.fromtimestamp(case["now"], UTC) if case["now"] is not None else NOW
            answer = await post(gateway.http, case)
            taken = answer.status_code == 200 if asks(case) else answer.is_success  # with the answer its sender wants
            if not (taken if case["expect"] == "ok" else answer.status_code == 401):
                wrong.append((case["id"], case["expect"], answer.status_code, answer.text))
    assert wrong == []
    assert len(cases) > 90


PLAYED = [name for name in SENDERS if name not in {"custom", "paypal"}]  # these sign the route, or fetch a certificate


def configured(name: str, directory: Path) -> dict[str, Any]:
    """Return a source for a sender that the tests play."""
    files = [f"played-{name}.{index}.secret" for index in (1, 0)]  # the one that signs is the second
    for file, index in zip(files, (1, 0), strict=True):
        (directory / file).write_text(send(name).secrets[index])
    verify = DESCRIBED[name].model_dump(mode="json", exclude_unset=True) if name in DESCRIBED else {"preset": name}
    verify |= {"secrets": [f"file:{file}" for file in files], "public_url": URL.partition("?")[0]}
    verify |= {"topics": ["arn:t"]} if name == "aws-sns" else {}
    return {"verify": verify, "event": {"cloudevents": "off"}}


async def statuses(http: httpx.AsyncClient, name: str) -> dict[str, int]:
    """Send what is right and what is near it."""
    sent = send(name)
    request, spoiled = sent.request, sent.request.body.replace(b"x", b"y").replace(b"arn:t", b"arn:u")
    carriers = [part for part in sent.scheme.headers[0].signature.split(",") if ":" not in part]

    async def status(headers: tuple[tuple[bytes, bytes], ...], body: bytes, query: str = request.query) -> int:
        target = f"/hooks/{name}?{query}"
        return (await http.post(target, content=body, headers=list(headers))).status_code

    found = {"right": await status(request.headers, request.body)}
    if sent.scheme.signed_parts & {"body", "sns"}:
        found["another body"] = await status(request.headers, spoiled)
    for header in carriers:
        (value,) = request.header(header)
        for what, values in (
            ("missing", []),
            ("doubled", [value, value]),
            ("cut", [value[:-1]]),
            ("empty", [b""]),
            ("not ASCII", [b"\xff\xfe\x80"]),
            ("long", [b"v1=" * 2_000]),
        ):
            found[what] = await status(sent.replaced(header, values).headers, request.body)
    if not carriers:
        found["junk"] = await status(request.headers, b"\xff\x00", "a=\u00ff")
        found["nothing"] = await status((), b"", "")
    return found


async def test_nothing_near_a_signed_request_is_taken_over_http(nats_server: NatsServer, tmp_path: Path) -> None:
    """For every preset: what is right is 2xx; changed, missing, doubled, cut and meaningless proofs are 401."""
    with (tmp_path / "config").open("w") as file:
        YAML().dump({"version": 1, "sources": {name: configured(name, tmp_path) for name in PLAYED}}, file)
    wrong: dict[tuple[str, str], int] = {}
    clock = SetClock()
    async with fresh(nats_server, tmp_path, (tmp_path / "config").read_text(), clock) as gateway:
        for name in PLAYED:
            found = await statuses(gateway.http, name)
            assert found.pop("right") // 100 == 2, name
            assert found, name
            if send(name).timed or send(name).scheme.jwt is not None:
                for what, away in (("stale", timedelta(days=30)), ("from the future", -timedelta(days=30))):
                    clock.moment = NOW + away
                    found[what] = (await statuses(gateway.http, name))["right"]
                clock.moment = NOW
            wrong |= {(name, what): status for what, status in found.items() if status != 401}
    assert wrong == {}
