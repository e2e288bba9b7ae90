"""The pages of `api/view.py` as HTML: one template, one style sheet, no script.

Nothing of a document is markup there: the template escapes what it is given, and the policy lets nothing run.
"""

import asyncio
import base64
import hashlib
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from importlib.resources import files
from typing import Any, Protocol
from urllib.parse import urlencode

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from api.links import Grant, Link
from api.view_text import Span, TextBlock, TextLayout
from domain.document_files import Extracted
from domain.document_links import LinkMode
from domain.models import DocumentVersion
from ingestion.pages.images import PageImages, PagePlaces, PdfFile
from utils.errors import Overloaded, ProblemError, UnreadableDocument
from utils.long_texts import process_text

AROUND = 20_000  # characters shown to each side of a quote
CONTEXT = 300  # the same where the quote alone may be read
_LONGEST_WORD = 40
_PICTURE_WAIT_S = 5.0  # its text is shown alone after that
_LONGEST_QUOTE = 20_000  # that is marked
_LINE_OR_WORD = 1000  # characters that are looked through for where to cut
_STYLE = (files("api") / "templates" / "view.css").read_text("utf-8")
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
PAGE_POLICY = (
    f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_PAGES = Environment(
    loader=PackageLoader("api"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
)


class ViewPosition(Protocol):
    """Where in a document its reader is; see `api.view.ViewQuery`."""

    start: int | None
    end: int | None
    at: int | None
    page: int | None


class Sign(Protocol):
    """Makes a token for a version of a document."""

    def __call__(self, version: int, grant: Grant, /) -> str:
        """See `LinkSigner.sign`."""


@dataclass(frozen=True, slots=True)
class OpenedDocument:
    """A version of a document that somebody may read, `current` being the newest, and the `link` they came with.

    Whoever came with a key is given addresses with what *sign* makes of *grant*; without one they need the key again.
    Addresses of its other pages begin with `prefix`.
    """

    version: DocumentVersion
    current: int
    sign: Sign
    link: Link | None = None
    grant: Grant | None = None
    prefix: str = ""

    @property
    def is_pdf(self) -> bool:
        """Whether its pages can be drawn."""
        return self.version.media_type == "application/pdf" and bool(self.version.pages)

    @property
    def passage(self) -> Span | None:
        """What alone may be read of it, with some context; None: all of it."""
        if self.link is None or self.link.grant.mode is LinkMode.FULL:
            return None
        return Span(self.link.grant.start, self.link.grant.end)

    def make_address(self, name: str, **query: int | None) -> str:
        """A page of this version, by a path relative to it."""
        return self._make_address(name, self.version.version, **query)

    def make_newest_address(self) -> str | None:
        """The newest version; None where it is this, and for who came by a link: that was made for this one."""
        if self.link or self.version.version >= self.current:
            return None
        return self._make_address("view", self.current)

    def _make_address(self, name: str, version: int, **query: int | None) -> str:
        parameters: dict[str, int | str] = {"version": version}
        parameters |= {name: value for name, value in query.items() if value is not None}
        if self.link:
            parameters["token"] = self.link.token
        elif self.grant:
            parameters["token"] = self.sign(version, self.grant)
        return f"{self.prefix}{name}?{urlencode(parameters)}"


@dataclass(frozen=True, slots=True)
class PdfPage:
    """A page of a PDF, counted from 1; what of the quote is on it, and how far down, from 0 to 1."""

    number: int
    quote: str
    near: float


@dataclass(frozen=True, slots=True)
class PageLayout:
    """What is shown of a document: a stretch of its text, or a page of a PDF. `earlier` and `later` lead on.

    `size` counts the characters of that stretch.
    """

    opened: OpenedDocument
    quote: Span
    size: int
    blocks: list[TextBlock]
    has_mark: bool
    earlier: str | None
    later: str | None
    page: PdfPage | None = None


def lay_out(opened: OpenedDocument, extracted: Extracted, position: ViewPosition) -> PageLayout:
    """What is shown of the document at *position*; it keeps nothing of *extracted* beyond that."""
    if opened.passage is not None:
        return _lay_out_passage(opened, extracted, opened.passage)
    quote = _limit_quote(position.start, position.end, len(extracted.text))
    return (_lay_out_page if opened.is_pdf else _lay_out_text)(opened, extracted, position, quote)


def render_text(layout: PageLayout) -> str:
    """The page for a stretch of text."""
    return render_page("view.html", **_describe_document(layout, None), **_describe_layout(layout))


async def render_pdf(layout: PageLayout, page: PdfPage, pdf: PdfFile, images: PageImages) -> str:
    """The page for one page of *pdf*: its picture, where it can be drawn and that is known in time, and its text."""
    try:
        async with asyncio.timeout(_PICTURE_WAIT_S):
            picture = await images.find_places(pdf, page.number, page.quote, page.near)
    except (UnreadableDocument, Overloaded, TimeoutError):
        picture = None
    address = layout.opened.make_address(f"pages/{page.number}.png") if picture else None
    values = {**_describe_document(layout, picture), **_describe_layout(layout), "picture_address": address}
    return await process_text(partial(render_page, "view.html", **values), characters=layout.size)


def render_problem(error: ProblemError) -> str:
    """What is refused, and why."""
    phrase = HTTPStatus(error.status).phrase
    return render_page("problem.html", title=error.title, error=error, phrase=phrase, language="en")


def _lay_out_text(opened: OpenedDocument, extracted: Extracted, position: ViewPosition, quote: Span) -> PageLayout:
    size = len(extracted.text)
    # Otherwise from where another part ends.
    begin = _end_line(extracted.text, quote.start - AROUND) if position.at is None else min(position.at, size - 1)
    window = Span(begin, _end_line(extracted.text, begin + 2 * AROUND + quote.end - quote.start))

    def link_to(index: int) -> str:
        return opened.make_address("view", start=position.start, end=position.end, at=index)

    return PageLayout(
        opened=opened,
        quote=quote,
        size=window.end - window.start,
        blocks=TextLayout(extracted, quote).lay_out_blocks(window, shows_pages=True),
        has_mark=bool(quote.clip(window)),
        earlier=link_to(_end_line(extracted.text, begin - 2 * AROUND)) if begin else None,
        later=link_to(window.end) if window.end < size else None,
    )


def _lay_out_passage(opened: OpenedDocument, extracted: Extracted, passage: Span) -> PageLayout:
    quote = _limit_quote(passage.start, passage.end, len(extracted.text))
    begin, end = (
        _end_word(extracted.text, quote.start - CONTEXT),
        _end_word(extracted.text, quote.end + CONTEXT),
    )
    window = Span(min(begin, quote.start), end)
    return PageLayout(
        opened=opened,
        quote=quote,
        size=window.end - window.start,
        blocks=TextLayout(extracted, quote).lay_out_blocks(window, shows_pages=True),
        has_mark=bool(quote),
        earlier=None,
        later=None,
    )


def _lay_out_page(opened: OpenedDocument, extracted: Extracted, position: ViewPosition, quote: Span) -> PageLayout:
    pages = opened.version.pages or 1
    number = min(position.page or _find_page(extracted, quote) or 1, pages)
    window = _find_page_window(extracted, number)
    clipped = quote.clip(window)
    near = (clipped.start - window.start) / max(1, window.end - window.start)

    def link_to(page: int) -> str:
        return opened.make_address("view", start=position.start, end=position.end, page=page)

    return PageLayout(
        opened=opened,
        quote=quote,
        size=window.end - window.start,
        blocks=TextLayout(extracted, quote).lay_out_blocks(window, shows_pages=False),
        has_mark=bool(clipped),
        earlier=link_to(number - 1) if number > 1 else None,
        later=link_to(number + 1) if number < pages else None,
        page=PdfPage(number, extracted.text[clipped.start : clipped.end], near),
    )


def _describe_layout(layout: PageLayout) -> dict[str, Any]:
    return {
        "blocks": layout.blocks,
        "earlier": layout.earlier,
        "later": layout.later,
        "has_mark": layout.has_mark,
    }


def _describe_document(layout: PageLayout, picture: PagePlaces | None) -> dict[str, Any]:
    opened, quote = layout.opened, layout.quote
    version = opened.version
    return {
        "title": version.title or version.file_name,
        "version": version,
        "language": version.language or "en",
        "has_quote": bool(quote),
        "to_quote": opened.make_address("view", start=quote.start, end=quote.end) + "#quote",
        "download": opened.make_address("original") if opened.passage is None else None,
        "is_excerpt": opened.passage is not None,
        "newest": opened.make_newest_address(),
        "current": opened.current,
        "page": layout.page.number if layout.page else None,
        "picture": picture,
    }


def _limit_quote(start: int | None, end: int | None, size: int) -> Span:
    start = min(start or 0, size)
    return Span(start, max(start, min(end or 0, size, start + _LONGEST_QUOTE)))


def _end_word(text: str, at: int) -> int:
    """Where the word that *at* is in ends, if that is near."""
    at = min(max(0, at), len(text))
    return next((end for end in range(at, min(at + _LONGEST_WORD, len(text))) if text[end].isspace()), at)


def _end_line(text: str, index: int) -> int:
    """Where the line that *index* is in ends, or the word where that is far."""
    if index <= 0 or index >= len(text) or text[index - 1] == "\n":
        return min(max(0, index), len(text))
    ends = (text.find(mark, index, index + _LINE_OR_WORD) + 1 for mark in "\n ")
    return next((end for end in ends if end), index)


def _find_page(extracted: Extracted, quote: Span) -> int | None:
    """The page on which the quote begins; the first without one."""
    return next((part.page for part in extracted.parts if part.end > quote.start), None)


def _find_page_window(extracted: Extracted, number: int) -> Span:
    """The page's text, of which no more is shown than of anything else."""
    parts = [part for part in extracted.parts if part.page == number]
    if not parts:
        return Span(0, 0)
    return Span(parts[0].start, min(parts[-1].end, parts[0].start + 4 * AROUND))


def render_page(name: str, **values: Any) -> str:
    """The template of that name with *values*, which it escapes unless they are `Markup`."""
    return _PAGES.get_template(name).render(style=Markup(_STYLE), **values)  # noqa: S704 - a file of ours
