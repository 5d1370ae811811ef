"""The address of a client is what trusted proxies say, and nothing that a stranger writes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.domain.clients import ForwardedHeader, Proxies, read_network
from holdfast.domain.schemes import SignedRequest, encode_headers

TRUSTED = tuple(map(read_network, ("10.0.0.0/8", "::1", "::ffff:192.168.0.0/112")))


def client(peer: str, *values: str, header: ForwardedHeader = "x-forwarded-for", name: str = "") -> str:
    """Return the client of a request with that header."""
    headers = encode_headers((name or header, value) for value in values)
    return str(Proxies(TRUSTED, header).client_of(SignedRequest(headers, b"", peer=peer)))


@pytest.mark.parametrize(
    ("peer", "values", "expected"),
    [
        ("198.51.100.7", (), "198.51.100.7"),
        ("198.51.100.7", ("203.0.113.9",), "198.51.100.7"),  # a stranger's word
        ("10.0.0.1", (), "10.0.0.1"),
        ("10.0.0.1", ("203.0.113.9",), "203.0.113.9"),
        ("10.0.0.1", ("1.1.1.1, 203.0.113.9, 10.9.9.9",), "203.0.113.9"),  # the first is the client's own invention
        ("10.0.0.1", ("1.1.1.1", "203.0.113.9"), "203.0.113.9"),
        ("10.0.0.1", ("10.0.0.3, 10.0.0.2",), "10.0.0.3"),
        ("10.0.0.1", ("junk",), "None"),
        ("10.0.0.1", ("1.1.1.1, junk",), "None"),
        ("10.0.0.1", ("",), "10.0.0.1"),
        ("10.0.0.1", (",".join(["1.1.1.1"] * 40),), "None"),
        ("::ffff:10.0.0.1", ("::ffff:203.0.113.9",), "203.0.113.9"),
        ("::1", ("[2001:db8::7]:443",), "2001:db8::7"),
        ("::1", ("203.0.113.9:5000",), "203.0.113.9"),
        ("192.168.3.4", ("203.0.113.9",), "203.0.113.9"),
        ("", ("203.0.113.9",), "None"),
        ("unix", (), "None"),
    ],
)
def test_the_nearest_address_that_is_no_trusted_proxy_counts(peer: str, values: tuple[str, ...], expected: str) -> None:
    """Read from the right; mapped IPv4 is IPv4; what cannot be read is nobody."""
    assert client(peer, *values) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("for=203.0.113.9", "203.0.113.9"),
        ('For="[2001:db8::7]:4711";proto=https;by=10.0.0.1', "2001:db8::7"),
        ("for=1.1.1.1, for=203.0.113.9;by=10.0.0.2", "203.0.113.9"),
        ('for=203.0.113.9, for="_hidden"', "None"),
        ("for=unknown", "None"),
        ("proto=https", "None"),
        ("for=1.1.1.1;for=2.2.2.2", "None"),
        ('for="1.1.1.1, for=2.2.2.2', "None"),
    ],
)
def test_forwarded_is_read_where_the_proxies_write_it(value: str, expected: str) -> None:
    """RFC 7239; only the one header that is configured is looked at."""
    assert client("10.0.0.1", value, header="forwarded") == expected
    assert client("10.0.0.1", value, header="x-forwarded-for", name="forwarded") == "10.0.0.1"


@given(st.text(max_size=80), st.sampled_from(["x-forwarded-for", "forwarded"]))
def test_junk_is_nobody_and_never_an_exception(text: str, header: ForwardedHeader) -> None:
    """Whatever stands there, an answer comes back."""
    headers = ((header.encode(), text.encode("utf-8", "surrogatepass")),)
    Proxies(TRUSTED, header).client_of(SignedRequest(headers, b"", peer="10.0.0.1"))


@pytest.mark.parametrize("text", ["", "10.0.0.0/33", "example.com", "10.0.0.0/8,::1"])
def test_what_is_no_network_is_refused(text: str) -> None:
    """A configuration with it does not load."""
    with pytest.raises(ValueError, match=r"address|netmask|network|permitted"):
        read_network(text)
