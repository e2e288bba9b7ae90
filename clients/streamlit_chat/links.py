"""Links of the API as the visitor's browser can follow them."""

from ipaddress import ip_address
from urllib.parse import SplitResult, urlsplit


def clean_page_link(address: str | None) -> str | None:
    """*address* where it opens a page; None for anything else, which documents may bring along."""
    return address if address and address.startswith(("http://", "https://")) else None


def link_for_browser(link: str, page_url: str | None) -> str | None:
    """*link* with an address that a browser reaches which shows the page at *page_url*; None for what opens no page.

    The API knows only how this page calls it, which may be a name that nobody else knows, such as `app` in a network of
    containers, or this machine itself: then the API is at the page's own host, on its own port; or where the page is,
    when that has no port of its own because a proxy stands before both. PUBLIC_URL settles it.
    """
    parts = urlsplit(link)
    if parts.scheme not in ("http", "https"):
        return None
    page = urlsplit(page_url or "")
    if not page.hostname or not _is_private_to_us(parts.hostname or ""):
        return link
    if page.port is None:
        return _rebase(parts, page.scheme, page.netloc)
    host = f"[{page.hostname}]" if ":" in page.hostname else page.hostname
    return _rebase(parts, parts.scheme, f"{host}:{parts.port}" if parts.port else host)


def _rebase(parts: SplitResult, scheme: str, netloc: str) -> str:
    return parts._replace(scheme=scheme, netloc=netloc).geturl()


def _is_private_to_us(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return "." not in host
