"""Who is at the other end: the address a request came from, also behind proxies that are trusted.

Flow: receive → **clients** → signatures. Anybody can write a forwarding header, so it counts only where our own peer is
a trusted proxy, only the one header that the proxies write, and of its list only what they added: read from the right.
"""

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Annotated, Literal

from pydantic import AfterValidator

from holdfast.domain.schemes import SignedRequest

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
ForwardedHeader = Literal["x-forwarded-for", "forwarded"]

MAX_HOPS = 32  # of one forwarding list
_FOR = re.compile(r'(?:^|;)\s*for\s*=\s*("[^"]*"|[^;,"\s]+)\s*(?=;|$)', re.IGNORECASE)
_ELEMENT = re.compile(r'(?:[^,"]|"(?:[^"\\]|\\.)*")+')


def read_network(text: str) -> Network:
    """Read `10.0.0.0/8`, `::1` or the like; IPv4 mapped into IPv6 is IPv4. Raises ValueError."""
    network = ip_network(text, strict=False)
    if isinstance(network, IPv6Network) and network.prefixlen >= 96 and network.network_address.ipv4_mapped:
        return IPv4Network((network.network_address.ipv4_mapped, network.prefixlen - 96), strict=False)
    return network


def _must_be_network(text: str) -> str:
    try:
        read_network(text)
    except ValueError as error:
        raise ValueError(f"{text!r} is no address or network: write it as 192.0.2.0/24 or 2001:db8::/32") from error
    return text


Cidr = Annotated[str, AfterValidator(_must_be_network)]
"""An address or a network in a configuration."""


@dataclass(frozen=True, slots=True)
class Proxies:
    """The proxies whose word about their own peers counts, and the header they write it into."""

    trusted: tuple[Network, ...] = ()
    header: ForwardedHeader = "x-forwarded-for"

    def trust(self, request: SignedRequest) -> bool:
        """Whether the request comes from one of them."""
        peer = read_address(request.peer)
        return peer is not None and within(peer, self.trusted)

    def client_of(self, request: SignedRequest) -> Address | None:
        """Return the nearest address that is no trusted proxy; None where it cannot be read."""
        peer = read_address(request.peer)
        if peer is None or not within(peer, self.trusted):
            return peer
        hops = self._hops(request)
        if hops is None:
            return None
        nearest = peer
        for text in reversed(hops):
            found = read_address(text)
            if found is None or not within(found, self.trusted):
                return found
            nearest = found
        return nearest

    def _hops(self, request: SignedRequest) -> list[str] | None:
        text = ",".join(value.decode("latin-1") for value in request.header(self.header))
        if self.header == "x-forwarded-for":
            hops = [hop.strip() for hop in text.split(",")] if text else []
        else:
            hops = []
            for element in _ELEMENT.findall(text):
                named = _FOR.findall(element.strip())
                if len(named) != 1:
                    return None
                hops.append(named[0].strip('"'))
        return hops if len(hops) <= MAX_HOPS else None


def read_address(text: str) -> Address | None:
    """Read an address as peers and forwarding headers write it, with or without port; mapped IPv4 is IPv4."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return address.ipv4_mapped or address if isinstance(address, IPv6Address) else address


def within(address: Address, networks: tuple[Network, ...]) -> bool:
    """Whether one of the networks holds the address."""
    return any(address.version == network.version and address in network for network in networks)
