"""Every sender has its page, and what the page tells people to write works."""

import re
from pathlib import Path
from typing import get_args

import pytest

from holdfast.domain.preset_names import PresetName
from holdfast.settings.file import load_config
from tests.architecture.sources import ROOT

FOLDER = ROOT / "docs" / "senders"
PAGES = sorted(page for page in FOLDER.glob("*.md") if page.name != "README.md")
_SNIPPET = re.compile(r"```yaml\n(.*?)```", re.DOTALL)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_snippet_of_a_page_is_a_sound_configuration(page: Path, tmp_path: Path) -> None:
    """It loads as it stands, uses a preset that the page names, and the source has the path that the page names."""
    text = page.read_text()
    snippets = _SNIPPET.findall(text)
    assert snippets
    for snippet in snippets:
        file = tmp_path / "holdfast.yaml"
        file.write_text(snippet)
        sources = load_config(file).config.sources
        assert page.stem in sources
        for source in sources.values():
            assert source.verify is not None
            assert f"`{source.verify.preset}`" in text
    for heading in ("## Set up", "## When we are slow or down"):
        assert heading in text


def test_every_preset_has_a_page_and_every_page_is_listed() -> None:
    """The index leads to each page, and no preset is without one."""
    index = (FOLDER / "README.md").read_text()
    for page in PAGES:
        assert f"]({page.name})" in index
    together = "\n".join(page.read_text() for page in PAGES)
    assert [name for name in get_args(PresetName) if f"`{name}`" not in together or f"`{name}`" not in index] == []
