"""Detection of public IP addresses."""

import ipaddress

# Global unicast by IANA's registries of special-purpose addresses, but for what stands for another address (6to4,
# Teredo, NAT64), for examples and benchmarks, and for what nobody announces. Python's `is_global` knows a part of it,
# and each of its versions another.
_IPV6_UNICAST = ipaddress.ip_network("2000::/3")
_SPECIAL = [
    ipaddress.ip_network(text)
    for text in (
        "192.0.0.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24", "192.175.48.0/24",
        "2001::/23", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20",
    )
]  # fmt: skip


def is_public(text: str) -> bool:
    """Return True for a global unicast address that embeds no other address."""
    address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address) and address not in _IPV6_UNICAST:
        return False
    return (
        address.is_global
        and not address.is_multicast
        and not address.is_reserved
        and not any(address in network for network in _SPECIAL if network.version == address.version)
    )
