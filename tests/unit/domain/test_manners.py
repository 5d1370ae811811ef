"""What is known of how senders repeat."""

from datetime import timedelta
from typing import get_args

from holdfast.cli.check import weak_sources
from holdfast.cli.senders import described
from holdfast.domain.manners import MANNERS, Manners
from holdfast.domain.preset_names import PresetName
from holdfast.domain.sources import SourceConfig
from holdfast.settings.file import HoldfastConfig


def test_every_preset_has_its_manners() -> None:
    """No sender is forgotten, none is made up, and each can be shown."""
    assert MANNERS.keys() == set(get_args(PresetName))
    for name in MANNERS:
        assert all(described(name).values())


def test_manners_read_as_sentences() -> None:
    """Units are whole, and what is not known is not claimed."""
    given = Manners(timedelta(seconds=5), repeats_for=timedelta(hours=4), attempts=8, afterwards="removed")
    assert given.show() == "waits 5 s, repeats up to 8 times for 4 h; a webhook that keeps failing is removed"
    assert MANNERS["github"].show() == (
        "waits 10 s, never repeats by itself; what failed can be sent again by hand there"
    )


def test_who_rejects_what_never_comes_again_is_warned() -> None:
    """GitHub with `reject` loses events while the bus is away; Stripe repeats, and with the outbox nobody loses."""

    def warned(preset: str, on_unavailable: str) -> bool:
        source = SourceConfig.model_validate({"verify": {"preset": preset, "secrets": ["env:A"]}})
        gateway = {"on_unavailable": on_unavailable}
        config = HoldfastConfig.model_validate({"version": 1, "gateway": gateway}).model_copy(
            update={"sources": {"a": source}}
        )
        return any("never repeats" in warning for warning in weak_sources(config))

    assert warned("github", "reject")
    assert not warned("stripe", "reject")
    assert not warned("github", "spool")
