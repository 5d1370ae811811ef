from typing import get_args

import pytest

from holdfast.domain.handshakes import HandshakeName, handshakes_of
from holdfast.domain.preset_names import PresetName
from holdfast.domain.sources import SourceConfig

NAMES = get_args(HandshakeName)


def test_every_handshake_belongs_to_a_preset() -> None:
    """A source's preset chooses its handshakes by name, so each name is one; every name has at least one handshake."""
    assert set(NAMES) <= set(get_args(PresetName))
    assert all(handshakes_of(name) for name in NAMES)
    assert handshakes_of("github") == handshakes_of("none") == handshakes_of(None) == ()


def test_only_a_proven_or_harmless_answer_uses_the_secret() -> None:
    """What is hashed for anybody must have the form of a token: an event's body in its place is no handshake."""
    for name in NAMES:
        for handshake in handshakes_of(name):
            if handshake.hashes and not handshake.proven:
                forms = [condition.part.form for condition in handshake.asks]
                assert not any(form.fullmatch('{"a": 1}') for form in forms), name
            assert not (handshake.confirm and not handshake.proven), name


@pytest.mark.parametrize("handshake", ["meta", "zoom", "twitter"])
def test_a_handshake_that_lacks_what_it_needs_is_an_error_of_the_configuration(handshake: str) -> None:
    """Meta needs its token, Zoom and X the secret."""
    with pytest.raises(ValueError, match=f"handshake {handshake}"):
        SourceConfig.model_validate({"dangerous_unverified": True, "handshake": handshake})
