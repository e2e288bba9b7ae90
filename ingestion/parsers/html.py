"""Web pages: the main text with its headings, without navigation, scripts and what is hidden from readers."""

import re
from collections.abc import Iterator

from lxml import etree
from lxml import html as lxml_html

from ingestion.parsers.encoding import decode
from ingestion.parsers.parsed import Limits, ParsedDocument, TextBuilder, clean, join_lines
from ingestion.parsers.tables import MAX_SPAN, Row, SpanningCells
from utils.errors import UnreadableDocument

CHARSET = re.compile(rb"""<meta[^>]{0,200}?charset\s*=\s*["']?\s*([A-Za-z0-9_:-]+)""", re.IGNORECASE)
XML_DECLARATION = re.compile(r"\A\s*<\?xml[^>]*\?>")
DROPPED = frozenset(
    [
        *("script", "style", "noscript", "template", "nav", "aside", "footer", "button", "select", "input", "textarea"),
        *("iframe", "object", "svg", "math", "canvas", "audio", "video", "head", "dialog"),
    ]
)
BLOCKS = frozenset(
    [
        *("address", "article", "blockquote", "body", "center", "dd", "details", "div", "dl", "dt", "fieldset", "form"),
        *("figcaption", "figure", "header", "hr", "html", "li", "main", "ol", "p", "pre", "section", "summary"),
        *("table", "tbody", "td", "tfoot", "th", "thead", "tr", "ul"),
    ]
)
ROW_GROUPS = frozenset(["thead", "tbody", "tfoot"])
HEADINGS = {f"h{level}": level for level in range(1, 7)}
HIDDEN_STYLE = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.IGNORECASE)
MAIN_SHARE = 0.3


def parse(data: bytes, limits: Limits) -> ParsedDocument:
    """The page; its title is `<title>`, its address the canonical link if there is one."""
    builder = TextBuilder(limits)
    root = read_into(builder, data)
    title, url = root.findtext(".//head/title"), _find_canonical(root)
    return builder.build(title=title or builder.find_first_heading(), media_type="text/html", url=url)


def read_into(builder: TextBuilder, data: bytes) -> etree._Element:
    """Add a page to what *builder* holds; its root."""
    root = parse_page(data)
    read_tree(builder, find_main(root))
    return root


def read_tree(builder: TextBuilder, root: etree._Element) -> None:
    """Add what a reader sees of *root* to what *builder* holds."""
    _Reader(builder).read(root)


def parse_page(data: bytes) -> etree._Element:
    """The elements of a page in whatever encoding it is.

    Raises:
        UnreadableDocument: it is empty, or no HTML at all.
    """
    declared = CHARSET.search(data[:4096])
    return parse_fragment(XML_DECLARATION.sub("", decode(data, declared=declared[1].decode() if declared else None)))


def extract_text(source: str) -> str:
    """The visible text of a fragment of HTML, a line for each block; empty if there is none."""
    builder = TextBuilder(Limits())
    try:
        read_tree(builder, parse_fragment(source))
        return builder.build(title=None, media_type="text/html").text
    except UnreadableDocument:
        return ""


def parse_fragment(source: str) -> etree._Element:
    """The elements of a page, or of a fragment of one.

    Raises:
        UnreadableDocument: it is empty, or no HTML at all.
    """
    if not source.strip():
        raise UnreadableDocument("There is no text in it.")
    try:
        return lxml_html.document_fromstring(source, parser=lxml_html.HTMLParser(remove_comments=True, remove_pis=True))
    except etree.LxmlError as exc:
        raise UnreadableDocument("Its HTML cannot be read.") from exc


def _find_canonical(root: etree._Element) -> str | None:
    """The page's own address, if it is one a reader can safely open."""
    for link in root.iterfind(".//head/link[@rel='canonical']"):
        address = clean(link.get("href", "")).strip()
        if re.match(r"https?://[^\s]+\Z", address) and len(address) <= 2000:
            return address
    return None


def find_main(root: etree._Element) -> etree._Element:
    """The element with the main text, if the page marks one and a good part of its text is there."""
    whole = sum(len(text) for text in root.itertext())
    for name in ("main", "article"):
        main = root.findall(f".//{name}")
        if len(main) == 1 and sum(len(text) for text in main[0].itertext()) >= MAIN_SHARE * whole:
            return main[0]
    return root


class _Reader:
    """Goes through a tree once, without recursion: pages may be nested deeper than Python's stack."""

    def __init__(self, builder: TextBuilder) -> None:
        self._builder = builder
        self._text: list[str] = []
        self._cells: list[tuple[str, int, int]] | None = None
        self._rows: list[Row] = []
        self._spanning = SpanningCells()
        self._nested = 0  # tables in the present cell
        self._preformatted = 0

    def read(self, root: etree._Element) -> None:
        for event, element in _iter_visible(root):
            if event == "text":
                self._text.append(element if self._preformatted else element.replace("\n", " "))
            elif event == "start":
                self._start(element)
            else:
                self._end(element)
        self._flush()

    def _start(self, element: etree._Element) -> None:
        name = element.tag
        if name == "br":
            self._text.append("\n")
        elif name == "tr" and self._cells is None:
            self._flush_text_between()
            self._cells = []
        elif (name in BLOCKS or name in HEADINGS) and name not in ROW_GROUPS:
            self._break()
        if name == "li" and self._cells is None:
            self._text.append("- ")
        self._nested += name == "table" and self._cells is not None
        self._preformatted += name == "pre"

    def _end(self, element: etree._Element) -> None:
        name = element.tag
        if name in ("td", "th") and self._cells is not None and not self._nested:
            self._cells.append(
                (join_lines("".join(self._text)), _read_span(element, "colspan"), _read_span(element, "rowspan"))
            )
            self._text = []
        elif name == "tr" and self._cells is not None and not self._nested:
            self._rows.append(self._spanning.make_row(self._cells))
            self._cells, self._text = None, []
        elif name == "table" and self._cells is None:
            self._flush()
        elif name in HEADINGS and self._cells is None:
            self._builder.add_heading(HEADINGS[name], "".join(self._text))
            self._text = []
        elif name in BLOCKS and name not in ROW_GROUPS:
            self._break()
        self._nested -= name == "table" and self._nested > 0
        self._preformatted -= name == "pre"

    def _break(self) -> None:
        """The end of a block: of a paragraph, or of a line in a table's cell."""
        if self._cells is None:
            self._flush()
        else:
            self._text.append(" ")

    def _flush_text_between(self) -> None:
        """Text before a row but in no cell, such as a table's caption; mostly it is white space."""
        if "".join(self._text).strip():
            self._flush()
        self._text = []

    def _flush(self) -> None:
        """End the block: the rows that were read, or the text."""
        rows, self._rows, self._spanning = self._rows, [], SpanningCells()
        self._builder.add_lines(" | ".join(row) for row in rows if any(row))
        text = "".join(self._text)
        self._text = []
        if not self._preformatted:
            text = "\n".join(join_lines(line) for line in text.split("\n"))
        if text.strip() != "-":
            self._builder.block(text)


def _read_span(element: etree._Element, name: str) -> int:
    value = element.get(name, "").strip()
    return min(int(value), MAX_SPAN) if value.isascii() and value.isdigit() else 1


def _iter_visible(root: etree._Element) -> Iterator[tuple[str, etree._Element | str]]:
    """`start` and `end` of each visible element, and each `text`, in reading order."""
    hidden: etree._Element | None = None
    for event, element in etree.iterwalk(root, events=("start", "end")):
        if hidden is None and event == "start" and _is_hidden(element):
            hidden = element
        if hidden is None:
            yield event, element
            if event == "start" and element.text:
                yield "text", element.text
        if event == "end":
            if element is hidden:
                hidden = None
            if hidden is None and element is not root and element.tail:
                yield "text", element.tail


def _is_hidden(element: etree._Element) -> bool:
    return element.tag in DROPPED or element.get("role") == "navigation" or is_kept_from_readers(element)


def is_kept_from_readers(element: etree._Element) -> bool:
    """Whether a browser does not show it, or the page asks for it not to be read out."""
    return (
        "hidden" in element.attrib
        or element.get("aria-hidden") == "true"
        or HIDDEN_STYLE.search(element.get("style", "")) is not None
    )
