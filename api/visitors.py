"""Visitors of the chat page: who they are and where they come from, as the page's key vouches for it.

The format of a visitor's token is in `docs/visitors.md`; the page has an implementation of its own.
"""

import hmac
import ipaddress
import re
import time
from base64 import urlsafe_b64encode

from flask import Request

from utils.errors import VisitorRefused

VISITOR_HEADER, ADDRESS_HEADER = "X-Visitor-Id", "X-Visitor-Address"
_TOKEN = re.compile(r"v1\.([A-Za-z0-9_-]{16,64})\.([0-9]{1,12})\.([A-Za-z0-9_-]{43})", re.ASCII)
_PURPOSE = b"pustaka visitor v1"
_IPV6_PREFIX = 64  # what one household or office has: its devices take new addresses within it as they like


def sign_visitor(page_key: str, visitor_id: str, expires_at: int) -> str:
    """The token of a visitor, valid until *expires_at*, in seconds since 1970."""
    signed = f"v1.{visitor_id}.{expires_at}"
    key = hmac.digest(page_key.encode(), _PURPOSE, "sha256")
    mac = urlsafe_b64encode(hmac.digest(key, signed.encode(), "sha256"))
    return f"{signed}.{mac.decode().rstrip('=')}"


def verify_visitor(page_key: str, token: str) -> str:
    """The id of the visitor whose *token* it is.

    Raises:
        VisitorRefused: it has expired, or was not made with *page_key*.
    """
    parts = _TOKEN.fullmatch(token)
    if parts is None or not hmac.compare_digest(sign_visitor(page_key, parts[1], int(parts[2])), token):
        raise VisitorRefused(f"{VISITOR_HEADER} is not a visitor's token made with this key. Make a new one.")
    if time.time() >= int(parts[2]):
        raise VisitorRefused(f"{VISITOR_HEADER} has expired. Make a new one.")
    return parts[1]


def find_visitor_network(request: Request) -> str:
    """The network that a visitor comes from: an IPv4 address, or the first 64 bits of an IPv6 address.

    As the page says; where it says nothing that is an address, as the connection does. To be asked for requests with
    the page's key alone: others could say anything.
    """
    return _mask(request.headers.get(ADDRESS_HEADER, "")) or _mask(request.remote_addr or "") or "unknown"


def find_client_network(request: Request) -> str:
    """The network that a request comes from, as the connection says, or a proxy of FORWARDED_ALLOW_IPS."""
    return _mask(request.remote_addr or "") or "unknown"


def _mask(text: str) -> str | None:
    try:
        address = ipaddress.ip_address(text.strip())
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address):
        mapped = address.ipv4_mapped
        return str(mapped or ipaddress.ip_network((int(address), _IPV6_PREFIX), strict=False))
    return str(address)
