"""robots.txt as RFC 9309 has it, with the `Crawl-delay` and `Sitemap` lines that sites add."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import quote, unquote_to_bytes

MAX_BYTES = 512_000  # RFC 9309, 2.5: at least 500 KiB are read
LONGEST_DELAY_S = 30.0
MAX_RULES = 5_000
MAX_SITEMAPS = 50
_NAME = re.compile(r"[a-z-]+")


@dataclass(slots=True)
class _Group:
    rules: list[tuple[str, bool]] = field(default_factory=list)
    delay_s: float | None = None


@dataclass(frozen=True, slots=True)
class Robots:
    """What a site allows to one crawler; `delay_s` is what it asks for between two requests, `None` for nothing."""

    rules: tuple[tuple[str, bool], ...] = ()
    delay_s: float | None = None
    sitemaps: tuple[str, ...] = ()

    def allows(self, path: str) -> bool:
        """Whether *path*, with its query, may be fetched: the longest rule that matches decides, of two `Allow`."""
        target = _normalize(path)
        best, allowed = -1, True
        for pattern, allow in self.rules:
            longer = len(pattern) > best or (len(pattern) == best and allow)
            if longer and _matches(pattern, target):
                best, allowed = len(pattern), allow
        return allowed


def read_robots(data: bytes, product: str) -> Robots:
    """What the file says to the crawler called *product*, or to all if it does not name that one.

    Each line is looked at once, and kept at most once, whatever stands above it.
    """
    groups: dict[str, _Group] = {}
    sitemaps: list[str] = []
    read_by: set[str] = set()
    naming = False
    for name, value in _parse_lines(data):
        if name == "user-agent":
            read_by = read_by if naming else set()
            naming = True
            if (agent := _parse_agent(value)) in ("*", product.lower()):  # what others are told is nothing to us
                groups.setdefault(agent, _Group())
                read_by.add(agent)
            continue
        if name == "sitemap":  # belongs to no group, and ends none
            if len(sitemaps) < MAX_SITEMAPS:
                sitemaps.append(value)
            continue
        naming = False
        for agent in read_by:
            _note(groups[agent], name, value)
    ours = groups.get(product.lower()) or groups.get("*") or _Group()
    return Robots(tuple(ours.rules), ours.delay_s, tuple(sitemaps))


def _parse_lines(data: bytes) -> Iterator[tuple[str, str]]:
    """The names and values of the lines that have both."""
    text = data[:MAX_BYTES].decode("utf-8-sig", errors="replace")
    for line in re.split(r"\r\n|\r|\n", text):
        field, colon, rest = line.partition(":")
        name = field.strip().lower()
        if colon and _NAME.fullmatch(name):
            yield name, rest.partition("#")[0].strip()


def _parse_agent(value: str) -> str:
    match = re.match(r"[A-Za-z_-]+|\*|", value)
    return match[0].lower() if match else ""


def _note(group: _Group, name: str, value: str) -> None:
    if name in ("allow", "disallow") and value and len(group.rules) < MAX_RULES:
        group.rules.append((_normalize(value), name == "allow"))
    elif name == "crawl-delay" and re.fullmatch(r"\d{1,6}(\.\d{1,6})?", value):
        group.delay_s = min(float(value), LONGEST_DELAY_S)


def _normalize(path: str) -> str:
    """Escapes in one way, so that `/%7Ejoe` and `/~joe` are the same; `*` and `$` are left alone."""
    return quote(unquote_to_bytes(path.replace("%2F", "%252F").replace("%2f", "%252F")), safe="/?&=*$%:@!'()+,;~")


def _matches(pattern: str, path: str) -> bool:
    """Whether *pattern*, with `*` for anything and a last `$` for the end, fits the beginning of *path*.

    Each part is looked for once, from where the one before it ended: no pattern takes long.
    """
    anchored = pattern.endswith("$")
    first, *others = pattern.removesuffix("$").split("*")
    if not path.startswith(first):
        return False
    place = len(first)
    last = others.pop() if others and anchored else None
    for part in others:
        position = path.find(part, place)
        if position < 0:
            return False
        place = position + len(part)
    if last is not None:
        return path.endswith(last) and len(path) - len(last) >= place
    return not anchored or place == len(path)
