"""A conversation as a file."""

from datetime import UTC, datetime
from functools import partial

import streamlit as st

from clients.api_answers import Message
from clients.api_client import ApiClient
from clients.streamlit_chat.browser import mount_actions
from clients.streamlit_chat.kept import find_title
from clients.streamlit_chat.settings import PageSettings
from clients.streamlit_chat.talk import Talk
from clients.streamlit_chat.texts import get_language, say, write_in
from clients.streamlit_chat.written import write_conversation, write_conversation_json

_MOST_PARTS = 100


def show_export(settings: PageSettings, talk: Talk, api: ApiClient) -> None:
    """Buttons that save the whole branch that is shown, which is read when one is pressed."""
    name = f"{say('conversation_file')}-{datetime.now(UTC):%Y-%m-%d}"
    markdown = partial(_write_markdown, api, talk, find_title(talk.conversation_id) or settings.title, get_language())
    with st.popover(say("export"), icon=":material/download:", type="tertiary"):
        st.download_button("Markdown", markdown, f"{name}.md", "text/markdown", on_click="ignore", width="stretch")
        data = partial(_write_json, api, talk)
        st.download_button("JSON", data, f"{name}.json", "application/json", on_click="ignore", width="stretch")
        mount_actions("print", {"print": {"label": say("print")}}, width="stretch")


def _write_markdown(api: ApiClient, talk: Talk, title: str, language: str) -> str:
    with write_in(language):
        return write_conversation(_read_all(api, talk), title, datetime.now(UTC).date())


def _write_json(api: ApiClient, talk: Talk) -> str:
    return write_conversation_json(_read_all(api, talk))


def _read_all(api: ApiClient, talk: Talk) -> list[Message]:
    """All messages of the branch that is shown.

    Raises:
        ApiError: the API is away or refuses.
    """
    part = api.conversation(talk.conversation_id, branch=talk.branch)
    messages = list(part.messages)
    for _ in range(_MOST_PARTS):
        if not part.offset:
            break
        part = api.conversation(talk.conversation_id, before=part.offset, branch=talk.branch)
        messages[:0] = part.messages
    return messages
