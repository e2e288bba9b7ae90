"""Pages from the web: their main text by trafilatura, and what a crawler has to know of them."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace

from lxml import etree

from ingestion.parsers import html
from ingestion.parsers.parsed import Limits, PageFacts, ParsedDocument, TextBuilder, clean, join_lines
from utils.errors import UnreadableDocument

MAX_LINKS = 2_000  # of a page
LONGEST_LINK = 2_000
SHORT_CHARACTERS = 250
TABLES_SHARE = 0.8  # of the rows; trafilatura takes some tables for decoration
_DATE = re.compile(r"(?:19|20)\d\d-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])")
_DATED = re.compile(
    r"article:published_time|date|dc\.date(\.issued)?|dcterms\.(date|issued)|datepublished", re.IGNORECASE
)


def parse(data: bytes, limits: Limits) -> ParsedDocument:
    """The page's main text, empty if there is none, and its `facts`.

    Where trafilatura finds next to nothing, or loses tables, it is what `html` makes of the page.
    """
    root = html.parse_page(data)
    facts = PageFacts(
        links=tuple(_iter_links(root)),
        base=_find_first(root.xpath("//base/@href")),
        canonical=_find_first(root.xpath("//head/link[@rel='canonical']/@href")),
        robots=",".join(_find_meta(root, "robots")).lower()[:500],
        published=next(_find_dates(root), None),
        language=join_lines(root.get("lang", ""))[:20] or None,
    )
    title = root.findtext(".//head/title")
    text = _extract_main_text(root, limits)
    if text is None:
        return ParsedDocument("", (), join_lines(clean(title or ""))[:500] or None, "text/html", facts=facts)
    return replace(text.build(title=title or text.find_first_heading(), media_type="text/html"), facts=facts)


def _extract_main_text(root: etree._Element, limits: Limits) -> TextBuilder | None:
    _drop_hidden(root)
    main = html.find_main(root)
    ours = _read(main, limits)
    extracted = _extract(root)
    if extracted is None or _count_rows(extracted) < TABLES_SHARE * _count_rows(main):
        return ours
    main_text = _read(extracted, limits)
    enough = SHORT_CHARACTERS if ours is None else min(ours.length // 2, SHORT_CHARACTERS)
    return main_text if main_text is not None and main_text.length >= enough else ours


def _read(root: etree._Element, limits: Limits) -> TextBuilder | None:
    builder = TextBuilder(limits)
    html.read_tree(builder, root)
    return builder if builder.length else None


def _count_rows(root: etree._Element) -> int:
    return sum(1 for _ in root.iter("tr"))


def _extract(root: etree._Element) -> etree._Element | None:
    # Half a second, which files of other kinds need not wait for.
    from trafilatura import extract
    from trafilatura.settings import use_config

    config = use_config()
    for name in ("MIN_EXTRACTED_SIZE", "MIN_OUTPUT_SIZE"):
        config["DEFAULT"][name] = "1"  # below it everything on the page would be given, menus and all
    try:
        result = extract(
            root, output_format="html", include_comments=False, include_tables=True, favor_recall=True, config=config
        )
    except Exception:  # on odd pages it fails in as many ways as it has steps; ours does not
        return None
    if not isinstance(result, str) or not result.strip():
        return None
    try:
        return html.parse_fragment(result)
    except UnreadableDocument:
        return None


def _drop_hidden(root: etree._Element) -> None:
    """Without what a reader of the page does not see; trafilatura would take it for text."""
    for element in list(root.iter()):
        if html.is_kept_from_readers(element) and element is not root and element.getparent() is not None:
            element.drop_tree()


def _iter_links(root: etree._Element) -> Iterator[str]:
    seen: set[str] = set()
    for element in root.iter("a", "area"):
        address = element.get("href", "").strip()
        if "nofollow" in element.get("rel", "").lower() or not address or address.startswith("#"):
            continue
        address = address.partition("#")[0]
        if len(address) <= LONGEST_LINK and address not in seen:
            seen.add(address)
            yield address
        if len(seen) >= MAX_LINKS:
            return


def _find_meta(root: etree._Element, name: str) -> list[str]:
    """The contents of `<meta>` of this *name*."""
    return [meta.get("content", "") for meta in root.iter("meta") if meta.get("name", "").lower() == name]


def _find_dates(root: etree._Element) -> Iterator[str]:
    """The days on which the page says it was published: `2026-11-22`. Nothing is guessed from its text."""
    for meta in root.iter("meta"):
        if _DATED.fullmatch(meta.get("property") or meta.get("name") or meta.get("itemprop") or ""):
            yield from _DATE.findall(meta.get("content", "")[:40])
    for script in root.xpath("//script[@type='application/ld+json']/text()"):
        yield from _find_dates_in(script[:100_000])
    for element in root.iter("time"):
        if element.get("itemprop") == "datePublished" or "pubdate" in element.attrib:
            yield from _DATE.findall(element.get("datetime", "")[:40])


def _find_dates_in(linked_data: str) -> Iterator[str]:
    try:
        data = json.loads(linked_data)
    except (ValueError, RecursionError):
        return
    things = data.get("@graph", [data]) if isinstance(data, dict) else data
    for thing in things if isinstance(things, list) else []:
        if isinstance(thing, dict):
            yield from _DATE.findall(str(thing.get("datePublished", ""))[:40])


def _find_first(texts: list[str]) -> str | None:
    return next((text.strip() for text in texts if text.strip() and len(text) <= LONGEST_LINK), None)
