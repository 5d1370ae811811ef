"""The headers that a source may set are those that can break nothing, checked when the file is read."""

import pytest
from pydantic import ValidationError

from holdfast.domain.answers import RespondConfig


@pytest.mark.parametrize(
    "headers",
    [
        {"Connection": "close"},
        {"transfer-encoding": "chunked"},
        {"Keep-Alive": "timeout=5"},
        {"TE": "trailers"},
        {"Upgrade": "h2c"},
        {"Content-Length": "3"},
        {"Content-Encoding": "gzip"},
        {"Location": "https://example.com"},
        {"Preference-Applied": "wait=1"},
        {"X-A": "a\r\nSet-Cookie: b"},
        {"X-A": "a\nb"},
        {"X-A": "a\x00b"},
        {"X-A": " padded "},
        {"X-A": "ü"},
        {"X-A": "x" * 1_001},
        {"X A": "a"},
        {"X-A:": "a"},
        {"": "a"},
        {"X-Ä": "a"},
        {"X-A": "1", "x-a": "2"},
        {f"X-{number}": "a" for number in range(21)},
        {"Content-Type": "text/html"},  # without a body of its own
    ],
)
def test_what_could_break_an_answer_is_refused(headers: dict[str, str]) -> None:
    """Hop-by-hop, ours, split, doubled, too many: an error of the configuration."""
    with pytest.raises(ValidationError):
        RespondConfig(headers=headers)


def test_what_can_be_sent_is_sent_in_lower_case() -> None:
    """Everything else goes through as it is."""
    config = RespondConfig(headers={"X-A": "a  b\tc", "Cache-Control": "", "Content-Type": "text/html"}, body="x")
    assert config.sent_headers == ((b"x-a", b"a  b\tc"), (b"cache-control", b""), (b"content-type", b"text/html"))
