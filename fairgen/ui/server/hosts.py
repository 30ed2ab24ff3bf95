"""The host names that a server answers to, and the origins whose pages may use it.

A page of another site can make a visitor's browser send requests here, and can give its own host name this
machine's address (DNS rebinding). Both are told by the headers ``Host``, ``Origin`` and ``Sec-Fetch-Site``,
which no page can forge.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from urllib.parse import urlsplit

from fairgen.ui.server.settings import LOOPBACK, Settings

ANY = "*"
"""In place of a host: whatever a request says."""
_HOST = re.compile(r"(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(?::(\d{1,5}))?")
_PORTS = {"http": "80", "https": "443"}


class Hosts:
    """The hosts of one server.

    Args:
        names: host names and addresses without a port; `ANY` allows all.
        addresses: whether any IP address is allowed. No page can name one that is not the server's, so this
            is for servers that listen on all addresses of their machine.
    """

    def __init__(self, names: Iterable[str], *, addresses: bool = False) -> None:
        self._names = {plain(name) for name in names}
        self._addresses = addresses

    @classmethod
    def of(cls, settings: Settings) -> Hosts:
        """The names of this machine's loopback, the host that is listened on, and those that are allowed."""
        everywhere = settings.host in ("0.0.0.0", "::", "")
        bound = [] if everywhere else [settings.host]
        return cls([*LOOPBACK, *bound, *settings.allowed_hosts], addresses=everywhere)

    def add(self, name: str) -> None:
        """Allow one more host."""
        self._names.add(plain(name))

    def know(self, header: str) -> bool:
        """Whether a ``Host`` header names this server."""
        found = _HOST.fullmatch(header)
        if found is None:
            return False
        name = plain(found[1])
        return ANY in self._names or name in self._names or (self._addresses and _is_address(name))

    def own(self, origin: str, header: str) -> bool:
        """Whether an ``Origin`` is this server, which the ``Host`` header names.

        A proxy may have changed the latter: so an origin with an allowed name that is none of the loopback's
        counts as well. On the loopback other ports are other programs.
        """
        try:
            parts = urlsplit(origin)
            port = str(parts.port or _PORTS.get(parts.scheme, ""))
        except ValueError:
            return False
        found = _HOST.fullmatch(header)
        if not parts.hostname or parts.scheme not in _PORTS or found is None:
            return False
        name = plain(parts.hostname)
        if name == plain(found[1]):
            return port == (found[2] or _PORTS[parts.scheme])
        return name in self._names and name not in LOOPBACK


def plain(name: str) -> str:
    """A host's name as names are compared: lower case, without brackets and the root's dot."""
    return name.strip().lower().strip("[]").removesuffix(".")


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
