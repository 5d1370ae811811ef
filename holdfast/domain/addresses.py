"""Which addresses an event may choose as a target: public ones only, by a list of our own.

`ipaddress.is_global` changed between Python's patch releases, so it is no base for a rule of security. Sources: the
IANA special-purpose registries for IPv4 and IPv6.
"""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

_V4 = tuple(
    map(
        IPv4Network,
        (
            "0.0.0.0/8",
            "10.0.0.0/8",
            "100.64.0.0/10",
            "127.0.0.0/8",
            "169.254.0.0/16",  # link-local, and the metadata services of clouds
            "172.16.0.0/12",
            "192.0.0.0/24",
            "192.0.2.0/24",
            "192.31.196.0/24",
            "192.52.193.0/24",
            "192.88.99.0/24",
            "192.168.0.0/16",
            "192.175.48.0/24",
            "198.18.0.0/15",
            "198.51.100.0/24",
            "203.0.113.0/24",
            "224.0.0.0/3",
            "168.63.129.16/32",  # Azure's platform, reachable from every machine in it
        ),
    )
)
_GLOBAL_V6 = IPv6Network("2000::/3")
_V6 = tuple(
    map(
        IPv6Network,
        (
            "2001::/23",
            "2001:db8::/32",
            "2002::/16",  # carries an IPv4 address that nobody checks
            "3fff::/20",
        ),
    )
)
PORTS = frozenset({80, 443})
"""Below 1024 only these: an event must not speak to mail servers and the like."""


def refusal(address: str, port: int) -> str | None:
    """Say why an event may not choose this address and port; None where it may. Anything unreadable may not."""
    if port < 1_024 and port not in PORTS:
        return f"port {port} is none that an event may choose"
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return "it is no address"
    inner = parsed.ipv4_mapped if isinstance(parsed, IPv6Address) else None
    return None if _is_public(inner or parsed) else "it is not a public address"


def _is_public(address: IPv4Address | IPv6Address) -> bool:
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _V4)
    return address in _GLOBAL_V6 and not any(address in network for network in _V6)
