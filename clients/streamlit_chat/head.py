"""The head of the page: logo, title, and what can be done with the conversation."""

import logging
from contextlib import suppress
from functools import cache, partial
from pathlib import Path

import streamlit as st

from clients.api_answers import Health
from clients.api_client import ApiClient
from clients.streamlit_chat.export import show_export
from clients.streamlit_chat.history import discard_current, show_undo_in_head
from clients.streamlit_chat.language import show_language_switch
from clients.streamlit_chat.markdown import escape_markdown
from clients.streamlit_chat.settings import PageSettings
from clients.streamlit_chat.sharing import show_share_button
from clients.streamlit_chat.signing_in import show_account
from clients.streamlit_chat.talk import Talk, begin_anew
from clients.streamlit_chat.texts import say

logger = logging.getLogger(__name__)
_PICTURES = frozenset({".png", ".jpg", ".jpeg", ".gif", ".webp", ".svg"})


def show_head(settings: PageSettings, talk: Talk, health: Health | None, api: ApiClient, *, is_shareable: bool) -> None:
    """Logo, title, Export, Share, Delete and New chat, and how answers are made."""
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        show_title(settings)
        with st.container(horizontal=True, horizontal_alignment="right", vertical_alignment="center", width="content"):
            if settings.sign_in:
                show_account(settings.sign_in)
            if talk.in_address or talk.question is not None:
                show_export(settings, talk, api)
                if is_shareable:
                    show_share_button(talk)
                discard = partial(discard_current, api)
                st.button(say("delete"), icon=":material/delete:", type="tertiary", on_click=discard)
            _show_new_chat("new-chat")
    with st.sidebar:
        _show_new_chat("new-chat-beside")
    show_undo_in_head(api)
    with st.container(horizontal=True, vertical_alignment="center", key="head-line"):
        st.caption(_how_it_answers(health), width="stretch")
        show_language_switch(settings)


def show_title(settings: PageSettings) -> None:
    """Logo and title."""
    logo = usable_logo(settings.logo)
    if logo:
        st.logo(logo, size="large")
    st.title(escape_markdown(settings.title), anchor=False, width="content")


def _how_it_answers(health: Health | None) -> str:
    if health and not health.language_model:
        return say("answers_are_quotes")
    return say("answers_have_sources")


def _show_new_chat(key: str) -> None:
    """One of two: by their keys page.css shows the one in the head where the sidebar is out of sight."""
    st.button(say("new_chat"), key=key, icon=":material/edit_square:", on_click=_new_chat, width="stretch")


def _new_chat() -> None:
    begin_anew()


@cache  # looked at, and complained of, once
def usable_logo(logo: str | None) -> str | None:
    """The operator's logo where it is an https address or a picture that can be read, else None."""
    if logo is None or logo.startswith("https://"):
        return logo
    path = Path(logo)
    with suppress(OSError, ValueError):
        if path.suffix.lower() in _PICTURES and path.is_file():
            return str(path)
    logger.warning("CHAT_LOGO is neither an https address nor a picture that can be read: %s", logo)
    return None
