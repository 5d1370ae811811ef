"""Every published signature, over HTTP, against a gateway that is configured as a person would."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from ruamel.yaml import YAML

from tests.gateways import fresh
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


class Nobody:
    """Confirms nothing: no test leaves this machine."""

    def __call__(self, source: str, url: str) -> None:
        """Do nothing."""

    async def close(self) -> None:
        """Nothing is under way."""


async def test_every_vector_is_judged_over_http_as_it_was_published(nats_server: NatsServer, tmp_path: Path) -> None:
    """What should hold is stored, or answered as a handshake, with 2xx; what should not is 401, and nothing else."""
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
            if not (answer.is_success if case["expect"] == "ok" else answer.status_code == 401):
                wrong.append((case["id"], case["expect"], answer.status_code, answer.text))
    assert wrong == []
    assert len(cases) > 90
