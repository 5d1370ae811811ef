"""docs/configuration.md and the JSON schema are what the models say."""

import json
from pathlib import Path

import jsonschema
import pytest
from ruamel.yaml import YAML

from holdfast.cli.config_docs import FILES
from holdfast.embedded.starter import example

DOCS = Path(__file__).parents[3] / "docs"


@pytest.mark.parametrize("name", FILES)
def test_the_reference_is_up_to_date(name: str) -> None:
    """A change of a model without `make docs` is noticed."""
    assert (DOCS / name).read_text() == FILES[name](), "run `make docs`"


def test_every_link_in_the_reference_leads_somewhere() -> None:
    """The anchors are the headings."""
    text = FILES["configuration.md"]()
    headings = {line.strip("# `").lower().replace(".", "") for line in text.splitlines() if line.startswith("### ")}
    links = {part.split(")")[0] for part in text.split("](#")[1:]}
    assert links == headings


def test_the_schema_takes_the_example_and_refuses_an_unknown_key() -> None:
    """An editor that completes from the schema agrees with `holdfast check`."""
    schema = json.loads(FILES["holdfast.schema.json"]())
    tree = YAML(typ="safe").load(example())
    jsonschema.validate(tree, schema)
    tree["triggers"]["say-push"]["wen"] = "true"
    with pytest.raises(jsonschema.ValidationError, match="wen"):
        jsonschema.validate(tree, schema)
