"""The OpenAPI description says what is there: every reference resolves, and what a token may ask is described."""

import json
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI

from gateway.openapi import document
from gateway.routes import Routes
from holdfast.settings.file import load_config
from holdfast.settings.secrets import Secrets

YAML = """version: 1
sources:
  waits: {verify: {preset: bearer, secrets: ["env:S"]}}
  brief: {verify: {preset: bearer, secrets: ["env:S"]}, wait: 0s}
  anybody: {dangerous_unverified: true}
  fixed: {dangerous_unverified: true, respond: {status: 200, headers: {X-A: b, Content-Type: text/html; q=1}, body: x}}
"""


@pytest.fixture
def described(tmp_path: Path) -> dict[str, Any]:
    """The document of a gateway."""
    file = tmp_path / "holdfast.yaml"
    file.write_text(YAML)
    return document(FastAPI(), Routes(load_config(file).config.sources, Secrets(tmp_path, {"S": "secret"})))


def test_every_reference_resolves(described: dict[str, Any]) -> None:
    """No `$ref` points nowhere, and the whole is JSON."""
    text = json.dumps(described)
    schemas = described["components"]["schemas"]
    names = {part.split('"')[0] for part in text.split("#/components/schemas/")[1:]}
    assert names <= set(schemas)
    assert {"EventStatus", "Rejection", "Outcome", "DeliveryStatus"} <= names


def test_waiting_is_described_where_it_is_obeyed(described: dict[str, Any]) -> None:
    """By default only of sources that verify, and of none that say 0s."""
    paths = described["paths"]
    waits = {name: paths[f"/hooks/{name}"]["post"] for name in ("waits", "brief", "anybody")}
    assert ["Prefer" in json.dumps(each["parameters"]) for each in waits.values()] == [True, False, False]
    assert ["200" in each["responses"] for each in waits.values()] == [True, False, False]


def test_a_sources_own_answer_is_described(described: dict[str, Any]) -> None:
    """Its status, its headers, the type of its body."""
    answer = described["paths"]["/hooks/fixed"]["post"]["responses"]["200"]
    assert list(answer["content"]) == ["text/html"]
    assert set(answer["headers"]) == {"Location", "x-a"}


def test_what_a_token_may_ask_is_described(described: dict[str, Any]) -> None:
    """Both routes ask for a token and say 401."""
    for path in ("/events/{source}/{id}", "/rejected"):
        operation = described["paths"][path]["get"]
        assert operation["security"] == [{"token": []}]
        assert {"200", "401", "503"} <= set(operation["responses"])
