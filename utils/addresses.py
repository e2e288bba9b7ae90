"""Addresses of servers: what of them may be shown, and how far away they are."""

from ipaddress import ip_address
from urllib.parse import parse_qs, urlsplit


def hide_login(address: str) -> str:
    """*address* without its login and its options, which may hold keys; Redis's database stays: `redis://host/?db=1`."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return "an address that cannot be read"
    database = parse_qs(parts.query).get("db")
    shown = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}".rstrip("/")
    return f"{shown}?db={database[0]}" if database else shown


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
