"""Addresses of servers: what of them may be shown, and how far away they are."""

import re
from ipaddress import ip_address
from urllib.parse import parse_qs, urlsplit

_PLACE = r"(?:\[[\w.:%]++\]|[\w.-]*+)(?::\d++)?+"
_ADDRESS = re.compile(
    rf"(?P<scheme>[a-z][a-z0-9+.-]{{0,30}}+)://(?:[^/?#@]*+@)*+(?P<places>{_PLACE}(?:,{_PLACE})*+)(?P<path>/[^?#@]*+)?+"
    r"(?:\?(?P<query>[^#@]*+))?+",
    re.IGNORECASE,
)
_FILE = re.compile(r"(sqlite(?:\+\w+)?:///[^?]*)(?:\?.*)?", re.IGNORECASE)


def hide_login(address: str, variable: str = "") -> str:
    """*address* without its login and its options, which may hold keys; Redis's database stays: `redis://host/?db=1`.

    Of one that is mistyped nothing is shown but the *variable* it stands in: any part of it may be a password.
    """
    file, parts = _FILE.fullmatch(address), _ADDRESS.fullmatch(address)
    if file:
        return file[1]
    if parts is None:
        return f"{variable}, which is no address{_advise(address)}" if variable else "an address that cannot be read"
    database = parse_qs(parts["query"] or "").get("db", [""])[0]
    text = f"{parts['scheme']}://{parts['places']}{parts['path'] or ''}".rstrip("/")
    return f"{text}?db={database}" if database.isdecimal() else text


def is_readable(address: str) -> bool:
    """Whether it can be told which part of *address* is its login, so that the rest may be shown."""
    return bool(_FILE.fullmatch(address) or _ADDRESS.fullmatch(address))


def _advise(address: str) -> str:
    return " (percent-encode the / : @ # and ? of its password)" if "://" in address and "@" in address else ""


def is_this_machine(host: str) -> bool:
    """Whether *host* is this machine as no other can reach it."""
    if host == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def is_nearby(address: str) -> bool:
    """Whether its host is this machine, or has a name without dots, as beside it in a container network."""
    host = urlsplit(address).hostname or ""
    return is_this_machine(host) or ("." not in host and ":" not in host)
