"""The sources under an answer, and the marks that lead to them."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace

import streamlit as st

from clients.api_answers import Message
from clients.run_events import Citation
from clients.streamlit_chat.answer_reading import Mark
from clients.streamlit_chat.links import clean_page_link, link_for_browser
from clients.streamlit_chat.markdown import escape_markdown
from clients.streamlit_chat.numbers import list_citations, number_citations
from clients.streamlit_chat.texts import LANGUAGES, get_language, say

_SHOWN = 3  # more would push the next question out of sight
_SHOWN_OTHERWISE = ("|", "Query: ")
_LANGUAGE = re.compile(r"[a-z]{2,3}")
_STATES = {"replaced": ":material/history:", "deleted": ":material/delete:"}


def find_marks(citations: Iterable[Citation], place: int) -> Mapping[int, Mark]:
    """The marks of the answer at *place* in the conversation, by number."""
    cited = list(citations)
    shown = number_citations(cited)
    return {each.number: Mark(_anchor(place, each), describe_place(each), shown[each.number]) for each in cited}


def name_sources(message: Message) -> str:
    """What the sources of an answer are called: passages that may not answer the question are the closest ones."""
    is_weak = message.confidence == "low" or message.answered is False
    return say("closest" if is_weak else "sources")


def show_sources(message: Message, place: int) -> None:
    """A line for each source, which opens to the words the answer rests on; nothing where there is none.

    Those after the first ones stand under a line of their own, which page.js opens for a mark that leads there.
    """
    listed = list_citations(message.citations)
    if not listed:
        return
    st.caption(name_sources(message))
    _show_lines(listed[:_SHOWN], place)
    if more := listed[_SHOWN:]:
        with st.expander(say("more_passages", number=escape_markdown(str(len(more)))), key=f"more-sources-{place}"):
            _show_lines(more, place)


def _show_lines(listed: Iterable[tuple[int, Citation]], place: int) -> None:
    for number, citation in listed:
        # The key is a class of its element, by which page.js finds what a mark leads to; an open one stays open by it.
        with st.expander(_label(number, citation), key=_anchor(place, citation)):
            _show_quote(_without_table(citation), place)
            _show_origin(citation)


def _show_quote(citation: Citation, place: int) -> None:
    """Its words; by the key page.js tells programs that read aloud in which language they are."""
    if _LANGUAGE.fullmatch(citation.language or ""):
        st.container(key=f"lang-{citation.language}-{place}-{citation.number}").text(citation.quote)
    else:
        st.text(citation.quote)


def _without_table(citation: Citation) -> Citation:
    """Of figures the words alone: their table, and their query, are shown as such."""
    if citation.query is None:
        return citation
    lines = [line for line in citation.quote.splitlines() if not line.startswith(_SHOWN_OTHERWISE)]
    return replace(citation, quote="\n".join(lines))


def _anchor(place: int, citation: Citation) -> str:
    return f"source-{place}-{citation.number}"


def _label(number: int, citation: Citation) -> str:
    label = f"**{escape_markdown(f'[{number}]')}** {escape_markdown(describe_place(citation))}"
    is_foreign = citation.language in LANGUAGES and citation.language != get_language()
    return f"{label} :gray-badge[{say(f'language_{citation.language}')}]" if is_foreign else label


def describe_place(citation: Citation) -> str:
    """Title, headings and page, in one line."""
    return write_path(citation.title or citation.source, citation.heading or "", citation.page)


def write_path(title: str, heading: str, page: int | None) -> str:
    """Where a passage stands: title, headings and page, in one line."""
    parts = [title, *heading.split(" › ")]
    # A document's first heading is often its title.
    path = " › ".join(part for place, part in enumerate(parts) if part and (place == 0 or part != parts[place - 1]))
    return path if page is None else say("page", path=path, page=page)


def _show_origin(citation: Citation) -> None:
    if citation.query is not None:
        st.caption(say("data_query"))
        st.code(citation.query, language=None, wrap_lines=True)  # the colours of SQL are too pale
        return
    if citation.document_status in _STATES:
        st.caption(f"{_STATES[citation.document_status]} {say(f'document_{citation.document_status}')}")
    is_there = citation.link and citation.document_status != "deleted"
    if is_there and (link := link_for_browser(citation.link or "", st.context.url)):
        st.link_button(say("open_here"), link, icon=":material/find_in_page:")
    if address := clean_page_link(citation.url):
        st.link_button(say("open"), address, icon=":material/open_in_new:")
    st.caption(escape_markdown(citation.source))
