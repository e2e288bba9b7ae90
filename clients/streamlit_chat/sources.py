"""The sources under an answer, and the marks that lead to them."""

from collections.abc import Iterable, Mapping

import streamlit as st

from clients.run_events import Citation
from clients.streamlit_chat.links import clean_page_link, link_for_browser
from clients.streamlit_chat.markdown import Mark, escape_markdown

_SOURCES = {"es": "Fuentes", "id": "Sumber"}
_STATES = {
    "replaced": ":material/history: The document has been replaced since; this is what it said.",
    "deleted": ":material/delete: The document has been deleted since; this is what it said.",
}


def find_marks(citations: Iterable[Citation], place: int) -> Mapping[int, Mark]:
    """The marks of the answer at *place* in the conversation, by number."""
    return {citation.number: Mark(_anchor(place, citation), _path(citation)) for citation in citations}


def show_sources(citations: Iterable[Citation], place: int) -> None:
    """A line for each source, which opens to the words the answer rests on; nothing where there is none."""
    listed = {citation.number: citation for citation in citations}
    if not listed:
        return
    st.caption(_SOURCES.get((st.context.locale or "")[:2], "Sources"))
    for _, citation in sorted(listed.items()):
        # The key is a class of its element, by which page.js finds what a mark leads to; an open one stays open by it.
        with st.expander(_label(citation), key=_anchor(place, citation)):
            st.text(citation.quote)
            _show_origin(citation)


def _anchor(place: int, citation: Citation) -> str:
    return f"source-{place}-{citation.number}"


def _label(citation: Citation) -> str:
    return f"**{escape_markdown(f'[{citation.number}]')}** {escape_markdown(_path(citation))}"


def _path(citation: Citation) -> str:
    parts = [citation.title or citation.source, *(citation.heading or "").split(" › ")]
    # A document's first heading is often its title.
    path = " › ".join(part for place, part in enumerate(parts) if part and (place == 0 or part != parts[place - 1]))
    return path if citation.page is None else f"{path}, page {citation.page}"


def _show_origin(citation: Citation) -> None:
    if citation.document_status in _STATES:
        st.caption(_STATES[citation.document_status])
    is_there = citation.link and citation.document_status != "deleted"
    if is_there and (link := link_for_browser(citation.link or "", st.context.url)):
        st.link_button("Open the document here", link, icon=":material/find_in_page:")
    if address := clean_page_link(citation.url):
        st.link_button("Open the document", address, icon=":material/open_in_new:")
    st.caption(escape_markdown(citation.source))
