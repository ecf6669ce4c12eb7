"""Which requests are meant for us, and from where they really come.

A request for another host name is none of ours, whoever sent it: with a name of their own somebody
could otherwise reach a service that only this machine should reach, through a browser on it. The
names of this machine itself are always ours: nobody else can have them in their browser.
`X-Forwarded-For` is believed from the proxies of the settings only, and read from its end: what
stands before the last address that is no proxy of ours was written by whoever wanted to.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
LOOPBACK = ("127.0.0.1", "localhost", "::1")
PROBES = ("/healthz", "/readyz")  # asked by address, by whatever watches over the process


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontDoor:
    """`hosts` are the names we are reached under, in lower case."""

    hosts: frozenset[str]
    proxies: tuple[Network, ...] = ()

    def is_ours(self, path: str, host: str | None, authority: str | None) -> bool:
        """Whether the request names one of our hosts; probes need not."""
        if path in PROBES:
            return True
        return self._known(host or authority) and (not authority or self._known(authority))

    def _known(self, host: str | None) -> bool:
        if not host:
            return False
        if host in self.hosts:
            return True
        try:
            return (urlsplit(f"//{host}").hostname or "") in self.hosts
        except ValueError:
            return False

    def client(self, peer: str, forwarded: str | None) -> str:
        """The address that a request comes from; `peer` is at the other end of the connection."""
        found = peer
        for hop in reversed((forwarded or "").split(",")):
            if not self._is_proxy(found) or not (hop := hop.strip()):
                break
            try:
                found = str(ipaddress.ip_address(hop.strip("[]")))
            except ValueError:
                break
        return found

    def _is_proxy(self, address: str) -> bool:
        if not self.proxies:
            return False
        try:
            there = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(there in network for network in self.proxies)


def front_door(public_url: str, allowed_hosts: Iterable[str], proxies: Iterable[str]) -> FrontDoor:
    """As the settings have it."""
    own = (urlsplit(public_url).hostname or "").lower()
    return FrontDoor(
        hosts=frozenset({own, *allowed_hosts, *LOOPBACK}),
        proxies=tuple(ipaddress.ip_network(proxy, strict=False) for proxy in proxies),
    )
