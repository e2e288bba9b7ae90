"""Addresses of web pages: one way to write each, and which of them are the same page."""

import re
from ipaddress import IPv6Address
from urllib.parse import parse_qsl, quote, unquote, urlencode, urljoin, urlsplit, urlunsplit

import idna

LONGEST_ADDRESS = 2_000  # what a document's `url` holds
ORIGIN = "web:"
_PORTS = {"http": 80, "https": 443}
_NAME = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*", re.ASCII)
_UNSEEN = re.compile(r"[\x00-\x20\x7f\\]")
_ESCAPE = re.compile(r"%([0-9A-Fa-f]{2})")
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
# What says where a reader came from or who it is, never which page it is.
_TRACKING = re.compile(
    r"utm_\w+|[a-z]{0,4}clid|mc_[ce]id|_ga|_gl|igshid|yclid|msclkid|_hs\w+|vero_id|wickedid|oly_\w+_id|"
    r"phpsessid|jsessionid|aspsessionid\w*|sessionid|session_id|sid",
    re.IGNORECASE | re.ASCII,
)
_PATH_SESSION = re.compile(r";(?:jsessionid|phpsessid|sid)=[^/;]*", re.IGNORECASE | re.ASCII)


class UnusableAddress(ValueError):
    """An address that is not one of a web page; the text says why."""


def canonicalize(address: str, base: str | None = None) -> str:
    """*address* as it is fetched, kept and cited; relative to *base*, if that is given.

    Without fragment, default port, `.` and `..`, session and tracking parameters; the host in lower-case ASCII (IDNA
    2008 with the mapping of UTS 46); escapes as RFC 3986 (6.2.2) would have them. Parameters keep their order.

    Raises:
        UnusableAddress: it is not an http or https address of a page, or holds a password.
    """
    text = address.strip()
    if len(text) > LONGEST_ADDRESS:
        raise UnusableAddress(f"It is longer than {LONGEST_ADDRESS:,} characters.")
    if _UNSEEN.search(text.replace(" ", "")):
        raise UnusableAddress("It holds characters that no address has.")
    try:
        parts = urlsplit(urljoin(base, text) if base else text)
        port = parts.port
    except ValueError as exc:
        raise UnusableAddress("It is not an address.") from exc
    if parts.scheme not in _PORTS:
        raise UnusableAddress("It does not begin with http:// or https://.")
    if "@" in parts.netloc:
        raise UnusableAddress("It holds a user name or a password.")
    host = _normalize_host(parts.hostname or "")
    at_port = "" if port in (None, _PORTS[parts.scheme]) else f":{port}"
    path = _escape(_PATH_SESSION.sub("", _remove_dots(parts.path)), "/:@!$&'()*+,;=")
    result = urlunsplit((parts.scheme, host + at_port, path or "/", _normalize_query(parts.query), ""))
    if len(result) > LONGEST_ADDRESS:
        raise UnusableAddress(f"It is longer than {LONGEST_ADDRESS:,} characters.")
    return result


def link(address: str, base: str) -> str | None:
    """The canonical address that *address* on the page at *base* leads to; None if it leads to no page."""
    try:
        return canonicalize(address, base)
    except UnusableAddress:
        return None


def make_likeness_key(address: str) -> str:
    """What two canonical addresses have in common that most likely are the same page.

    They differ in scheme, `www.`, the last slash, the order of parameters or the name of an index page alone.
    """
    parts = urlsplit(address)
    path = re.sub(r"/(?:index\.(?:html?|php))?$", "", parts.path)
    query = urlencode(sorted(parse_qsl(parts.query, keep_blank_values=True)))
    return f"{get_site(address)}{path}?{query}"


def get_site(address: str) -> str:
    """What the pages of a site share: the host and its port, without `www.`."""
    return urlsplit(address).netloc.removeprefix("www.")


def make_root_address(address: str, path: str) -> str:
    """The address of *path* on the host of *address*."""
    parts = urlsplit(address)
    return urlunsplit((parts.scheme, parts.netloc, path, "", ""))


def get_path_and_query(address: str) -> str:
    """What robots.txt has rules about."""
    parts = urlsplit(address)
    return f"{parts.path}?{parts.query}" if parts.query else parts.path


def format_address(address: str) -> str:
    """*address* as readers like it: without scheme, and with the letters of its own script."""
    parts = urlsplit(address)
    try:
        host = idna.decode(parts.hostname or "")
    except (idna.IDNAError, UnicodeError):
        host = parts.hostname or ""
    at_port = f":{parts.port}" if parts.port else ""
    query = f"?{parts.query}" if parts.query else ""
    return f"{host}{at_port}{unquote(parts.path)}{query}".rstrip("/")


def _normalize_host(name: str) -> str:
    if ":" in name:
        return f"[{_normalize_ipv6(name)}]"
    try:
        host = name.rstrip(".").lower() if name.isascii() else idna.encode(name, uts46=True).decode().rstrip(".")
    except (idna.IDNAError, UnicodeError) as exc:
        raise UnusableAddress("Its host is not a name.") from exc
    if len(host) > 253 or not _NAME.fullmatch(host):
        raise UnusableAddress("Its host is not a name.")
    return host


def _normalize_ipv6(name: str) -> str:
    try:
        return IPv6Address(name.partition("%")[0]).compressed
    except ValueError as exc:
        raise UnusableAddress("Its host is not a name.") from exc


def _remove_dots(path: str) -> str:
    """RFC 3986, 5.2.4; `urljoin` does it for relative addresses alone."""
    output: list[str] = []
    segments = path.split("/")[1:]
    for number, segment in enumerate(segments):
        last = number == len(segments) - 1
        if segment == "..":
            del output[-1:]
        if segment not in (".", ".."):
            output.append(segment)
        elif last:
            output.append("")
    return "/" + "/".join(output)


def _escape(text: str, safe: str) -> str:
    def tidy(match: re.Match[str]) -> str:
        character = chr(int(match[1], 16))
        return character if character in _UNRESERVED else f"%{match[1].upper()}"

    return quote(_ESCAPE.sub(tidy, text), safe=safe + "%")


def _normalize_query(query: str) -> str:
    parts = [part for part in query.split("&") if part and not _TRACKING.fullmatch(part.partition("=")[0])]
    return _escape("&".join(parts), "/:@!$'()*+,;=?&")
