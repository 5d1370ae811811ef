"""Whatever comes in, only an error of ours goes out."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.property.parsers import PARSERS


@pytest.mark.parametrize("name", PARSERS)
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(data=st.data())
def test_no_input_makes_a_foreign_exception(name: str, data: st.DataObject) -> None:
    """A parser takes its input or refuses it with what it says it raises; nothing else ever comes out of it."""
    parser = PARSERS[name]
    given_ = data.draw(parser.given)
    try:
        parser.call(given_)
    except parser.raises:
        return
