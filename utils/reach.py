"""Which addresses the service connects to where others say where: public ones, and those that the operator opens."""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from urllib.parse import SplitResult, urlsplit

Network = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address

WEB_PORTS = frozenset({80, 443})
# What Python takes for public, or did so in an earlier version: the registries of special addresses grow.
_REFUSED = (
    IPv4Network("192.0.0.0/24"),  # RFC 6890, of the protocols themselves; Oracle Cloud's metadata are at 192.0.0.192
    IPv4Network("192.31.196.0/24"),  # AS112, RFC 7535
    IPv4Network("192.52.193.0/24"),  # AMT, RFC 7450
    IPv4Network("192.175.48.0/24"),  # AS112, RFC 7534
    IPv4Network("192.88.99.0/24"),  # relays of 6to4
    IPv4Network("168.63.129.16/32"),  # Azure's metadata, at an address that looks public
    IPv6Network("3fff::/20"),  # documentation, RFC 9637
    IPv6Network("2001::/23"),  # RFC 2928, of the protocols themselves, Teredo and ORCHID among them
    IPv6Network("2620:4f:8000::/48"),  # AS112, RFC 7534
    IPv6Network("5f00::/16"),  # segment routing, RFC 9602
)
_NAT64 = IPv6Network("64:ff9b::/96")  # RFC 6052: holds an IPv4 address, which counts
_GLOBAL = IPv6Network("2000::/3")
_SIX_TO_FOUR = IPv6Network("2002::/16")  # an IPv4 address in disguise
_ISATAP = (b"\0\0\x5e\xfe", b"\2\0\x5e\xfe")  # RFC 5214: another one


class AddressRefused(Exception):
    """The address is none that may be connected to; the text says so without telling what is there."""


@dataclass(frozen=True, slots=True)
class Reach:
    """Which addresses may be connected to: public ones on *ports*, and those in *networks* besides.

    *networks* are private ones that the operator opens, none unless configured. *ports* None: all of them.
    """

    networks: tuple[Network, ...] = ()
    ports: frozenset[int] | None = WEB_PORTS

    def check_port(self, port: int) -> None:
        """Return if connections to the port are allowed, whatever the address.

        Raises:
            AddressRefused: they are not.
        """
        if self.ports is not None and port not in self.ports:
            allowed = ", ".join(map(str, sorted(self.ports)))
            raise AddressRefused(
                f"Port {port} is not allowed, only {allowed} are. The operator sets them with CRAWL_PORTS."
            )

    def check(self, address: str, port: int) -> None:
        """Return if a connection there is allowed.

        Raises:
            AddressRefused: it is not.
        """
        self.check_port(port)
        try:
            ip = _unwrap_ipv4(ip_address(address.partition("%")[0]))
        except ValueError:
            raise AddressRefused("Its name does not lead to an address.") from None
        if any(ip in network for network in self.networks):
            return
        if not _is_public(ip):
            raise AddressRefused("It leads to an address that is not on the public internet.")


def split_web_address(url: str, longest: int) -> SplitResult | None:
    """The parts of an address with http or https, of at most *longest* plain characters; None of anything else."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return None
    is_plain = len(url) <= longest and url.isascii() and url.isprintable() and " " not in url
    is_web = parts.scheme in ("http", "https") and port != 0
    return parts if is_plain and is_web and host and _is_host(host, parts.netloc) else None


def _is_host(host: str, netloc: str) -> bool:
    """Whether *host*, of an address with *netloc*, is an IP address or a name as DNS has them."""
    if "[" in netloc:
        try:
            return bool(ip_address(host))
        except ValueError:  # an address of a later version (RFC 3986), which nothing connects to
            return False
    labels = host.removesuffix(".").split(".")
    return len(host) <= 254 and all(0 < len(label) <= 63 for label in labels)


def check_host(host: str, reach: Reach) -> None:
    """Return unless *host* needs no resolver to be refused; what a name leads to is looked at with each connection.

    Raises:
        AddressRefused: it leads to a private address.
    """
    if host == "localhost" or host.endswith(".localhost"):
        reach.check("127.0.0.1", 0)
    elif ":" in host or host.replace(".", "").isdigit():
        reach.check(host, 0)


def _unwrap_ipv4(address: Address) -> Address:
    """The IPv4 address that an IPv6 address stands for, if it does."""
    if isinstance(address, IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return IPv4Address(address.packed[-4:]) if address in _NAT64 else address


def _is_public(address: Address) -> bool:
    if any(address in network for network in _REFUSED) or not address.is_global:
        return False
    if isinstance(address, IPv4Address):
        return not (address.is_multicast or address.is_reserved)
    return address in _GLOBAL and address not in _SIX_TO_FOUR and address.packed[8:12] not in _ISATAP
