"""docs/api.md lists the routes that there are, and the description of the API is complete."""

from typing import Any

import pytest

from tests.architecture.sources import ROOT
from workers.api.reference import PAGE, description, page, table

METHODS = {"get", "post"}


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    """The OpenAPI document."""
    return description(ROOT / "examples/holdfast.yaml")


def test_the_page_is_generated(document: dict[str, Any]) -> None:
    """`make docs` was run after the last change of a route."""
    text = (ROOT / PAGE).read_text()
    assert page(text, table(document)) == text


def test_every_route_says_its_token_and_its_problems(document: dict[str, Any]) -> None:
    """Each operation names the bearer token and the problems that all have, in the type that they are sent in."""
    for path, methods in document["paths"].items():
        assert methods.keys() <= METHODS, path
        for operation in methods.values():
            assert operation["security"] == [{"token": []}], path
            answers = operation["responses"]
            assert {"200", "400", "401", "403", "421", "429", "500", "503"} <= answers.keys(), path
            assert "422" not in answers
            for status, answer in answers.items():
                assert status == "200" or list(answer["content"]) == ["application/problem+json"], path
