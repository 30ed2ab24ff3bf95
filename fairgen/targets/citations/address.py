"""Which addresses may be connected to: public ones, on the ports of the web.

A cited address comes from a model or from somebody else's file. Without this rule it could make the user's
own machine ask a router, a cloud's metadata service or a colleague's database (server-side request forgery).
"""

from __future__ import annotations

import ipaddress
import re
import socket

__all__ = ["is_ip", "is_plain_host", "is_public", "refuse_unless_public", "resolve_host"]

_PORTS = (80, 443)
_GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_NOT_PUBLIC = (  # what some versions of Python's ipaddress take for global
    ipaddress.ip_network("100.64.0.0/10"),  # shared by a provider's customers, RFC 6598
    ipaddress.ip_network("192.0.0.0/24"),  # IETF protocol assignments, RFC 6890
    ipaddress.ip_network("192.88.99.0/24"),  # 6to4 relays, RFC 7526
    ipaddress.ip_network("2001::/23"),  # IETF protocol assignments, Teredo among them, RFC 2928
    ipaddress.ip_network("3fff::/20"),  # documentation, RFC 9637
)
_NUMBER = re.compile(r"\d+|0x[0-9a-f]*", re.IGNORECASE)


def is_public(address: str) -> bool:
    """Whether everybody can reach an IP address; an IPv4 address inside an IPv6 one is looked at too."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour
        if inner is None and ip in _NAT64:
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFF_FFFF)
        if inner is not None:
            return is_public(str(inner))
        if ip.scope_id is not None or ip not in _GLOBAL_UNICAST:
            return False
    special = ip.is_private or ip.is_loopback or ip.is_link_local or ip.is_unspecified
    special = special or ip.is_multicast or ip.is_reserved
    return ip.is_global and not special and not any(ip in network for network in _NOT_PUBLIC)


def refuse_unless_public(address: str, port: int) -> str | None:
    """Why ``address`` (an IP address) must not be connected to on ``port``; None where it may."""
    if port not in _PORTS:
        return f"port {port} is not one of the web's (80, 443)"
    # The address itself is left out: a shared web app must not tell strangers how a network is laid out.
    return None if is_public(address) else "its address is not a public one"


def is_ip(host: str) -> bool:
    """Whether a host is an IP address in its usual form, without brackets."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def is_plain_host(host: str) -> bool:
    """Whether a host is a name, or an IP address in its usual form; 2130706433 and 0x7f.1 are neither."""
    if is_ip(host):
        return "%" not in host
    return not _NUMBER.fullmatch(host.rstrip(".").rpartition(".")[2])


def resolve_host(host: str, port: int) -> list[str]:
    """The IP addresses of a host.

    Raises:
        OSError: it has none, or none can be found out.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    return list(dict.fromkeys(str(info[4][0]) for info in found))
