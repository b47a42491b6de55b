"""Gate: which URLs and addresses this server may call on somebody's word; app.outbound asks it."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from app import config
from app.errors import Invalid

if TYPE_CHECKING:
    import httpx2

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Resolve = Callable[[str, int], list[str]]

SCHEMES = {"https": 443, "http": 80}
PORTS = (80, 443, 8443)
# Nothing opens these: the metadata doors of the clouds.
METADATA = frozenset(
    ipaddress.ip_address(text)
    for text in (
        "169.254.169.254",
        "169.254.170.2",
        "169.254.170.23",
        "100.100.100.200",
        "fd00:ec2::254",
        "fd00:ec2::23",
    )
)
# Nor these: IPv4 in IPv6 clothes (mapped, compatible, translated, NAT64 twice, Teredo, 6to4).
DISGUISES = tuple(
    ipaddress.IPv6Network(text)
    for text in (
        "::ffff:0:0/96",
        "::/96",
        "::ffff:0:0:0/96",
        "64:ff9b::/96",
        "64:ff9b:1::/48",
        "2001::/32",
        "2002::/16",
    )
)
LOOPBACK = ipaddress.IPv6Address("::1")
UNICAST = ipaddress.IPv6Network("2000::/3")
# Names that mean something only inside.
INNER = (".localhost", ".local", ".internal", ".home.arpa", ".localdomain")
# What ipaddress calls global in Python 3.11 though it is not.
NOT_GLOBAL = tuple(map(ipaddress.ip_network, ("192.0.0.0/24", "192.88.99.0/24", "3fff::/20")))


class NotAllowed(Invalid):
    """The server may not call this URL."""

    code = "URL_NOT_ALLOWED"

    def __init__(self, why: str) -> None:
        super().__init__(f"This URL is not allowed: {why}.", "url")
        self.why = why


@dataclass(frozen=True)
class Allowed:
    """What an operator opened by hand: networks at any port and hosts at one port, by http or https."""

    networks: tuple[Network, ...] = ()
    hosts: frozenset[tuple[str, int]] = frozenset()

    @classmethod
    def read(cls, entries: Iterable[str]) -> Allowed:
        """Read `10.1.0.0/16`, `10.1.2.3`, `idp.local:8443`, `[::1]:80`; Invalid names an entry it can't."""
        networks: list[Network] = []
        hosts: set[tuple[str, int]] = set()
        for entry in entries:
            try:
                networks.append(ipaddress.ip_network(entry))
            except ValueError:
                hosts.add(_host_and_port(entry))
        return cls(tuple(networks), frozenset(hosts))

    def opens(self, host: str, port: int, found: list[Address]) -> bool:
        """Whether the target is one of them: by its name and port, or with every address in a network."""
        if (_plain(host), port) in self.hosts:
            return True
        return all(any(address in network for network in self.networks) for address in found)


@dataclass(frozen=True)
class Gate:
    """The rule itself: http is whether plain http may leave for the open internet."""

    http: bool
    allowed: Allowed
    resolve: Resolve

    @classmethod
    def build(cls, http: bool, allow: Iterable[str] | None, resolve: Resolve | None) -> Gate:
        """A gate with the configured allowlist and the system's resolver where None is given."""
        entries = config.current().outbound_allow if allow is None else allow
        return cls(http, Allowed.read(entries), resolve or resolve_by_system)

    def addresses(self, scheme: str, host: str, port: int) -> list[str]:
        """Look the host up once and give its addresses if every one may be called; NotAllowed otherwise."""
        try:
            found = [ipaddress.ip_address(text) for text in self.resolve(host, port)]
        except (OSError, ValueError):
            found = []
        if not found:
            raise NotAllowed("its host has no address")
        self._judge(scheme, host, port, found)
        return [str(address) for address in found]

    def foresee(self, scheme: str, host: str, port: int) -> None:
        """Refuse what no look-up is needed for; asking the DNS for a name would already tell it to others."""
        try:
            literal = ipaddress.ip_address(host)
        except ValueError:
            self._foresee_name(scheme, _plain(host), port)
        else:
            self._judge(scheme, host, port, [literal])

    def _foresee_name(self, scheme: str, name: str, port: int) -> None:
        if (name, port) in self.allowed.hosts or self.allowed.networks:
            return  # a name may lie in an opened network: its addresses tell
        if "." not in name or name.endswith(INNER):
            raise NotAllowed("its host is not on the open internet")
        if scheme != "https" and not self.http:
            raise NotAllowed("only https is called")
        if port not in PORTS:
            raise NotAllowed("only the ports 80, 443 and 8443 are called")

    def _judge(self, scheme: str, host: str, port: int, found: list[Address]) -> None:
        if any(map(is_forbidden, found)):
            raise NotAllowed("its host is not on the open internet")
        if self.allowed.opens(host, port, found):
            return
        if scheme != "https" and not self.http:
            raise NotAllowed("only https is called")
        if port not in PORTS:
            raise NotAllowed("only the ports 80, 443 and 8443 are called")
        if not all(map(is_public, found)):
            raise NotAllowed("its host is not on the open internet")


def check_form(url: httpx2.URL) -> None:
    """Refuse what no setting opens: other schemes, a user name or password, no host, port 0."""
    if url.scheme not in SCHEMES:
        raise NotAllowed("only https is called")
    if url.userinfo:
        raise NotAllowed("it holds a user name or password")
    if not url.host:
        raise NotAllowed("it has no host")
    if url.port == 0:
        raise NotAllowed("it has no port")  # libraries read 0 as "the usual one"


def resolve_by_system(host: str, port: int) -> list[str]:
    """The addresses the system knows for a host, as text; OSError if there is none."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    return list(dict.fromkeys(str(address[4][0]) for address in found))


def is_forbidden(address: Address) -> bool:
    """Whether nothing may open this address: cloud metadata, or IPv4 in IPv6 clothes."""
    if address in METADATA:
        return True
    return address.version == 6 and address != LOOPBACK and any(address in network for network in DISGUISES)


def is_public(address: Address) -> bool:
    """Whether the address is one of the open internet."""
    if is_forbidden(address) or any(address in network for network in NOT_GLOBAL):
        return False
    if address.version == 6 and address not in UNICAST:
        return False
    return address.is_global and not (address.is_multicast or address.is_reserved)


def _host_and_port(entry: str) -> tuple[str, int]:
    host, _, port = entry.rpartition(":")
    if not host or "/" in host or not port.isdecimal() or not 0 < int(port) < 65536:
        told = f"SIGNALCABIN_OUTBOUND_ALLOW: {entry} is neither a network nor host:port."
        raise Invalid(told, "OUTBOUND_ALLOW")
    return _plain(host.removeprefix("[").removesuffix("]")), int(port)


def _plain(host: str) -> str:
    return host.lower().rstrip(".")
