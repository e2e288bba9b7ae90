"""The sources under an answer."""

from collections.abc import Iterable

import streamlit as st

from clients.api_client import Citation
from clients.streamlit_chat.markdown import plain_markdown


def show_sources(citations: Iterable[Citation]) -> None:
    """A line for each source, which opens to the words the answer rests on; nothing where there is none."""
    listed = sorted(citations, key=lambda citation: citation.number)
    if not listed:
        return
    st.caption("Sources")
    for citation in listed:
        with st.expander(_label(citation)):
            st.text(citation.quote)
            _show_origin(citation)


def _label(citation: Citation) -> str:
    parts = [citation.title or citation.source, *(citation.heading or "").split(" › ")]
    # A document's first heading is often its title.
    path = " › ".join(part for place, part in enumerate(parts) if part and (place == 0 or part != parts[place - 1]))
    page = "" if citation.page is None else f", page {citation.page}"
    return f"**\\[{citation.number}\\]** {plain_markdown(path + page)}"


def _show_origin(citation: Citation) -> None:
    # Documents bring their own addresses: only ones that open a page become a link.
    if citation.url and citation.url.startswith(("http://", "https://")):
        st.link_button("Open the document", citation.url, icon=":material/open_in_new:")
    st.caption(plain_markdown(citation.source))
