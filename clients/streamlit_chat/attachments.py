"""Files that the visitor attaches to the conversation: chosen, sent to the service, listed and removed."""

import secrets
from dataclasses import dataclass
from typing import Any

import streamlit as st

from clients.api_client import ApiClient
from clients.api_errors import ApiError, ApiRefused, ignore_missing
from clients.conversation_calls import AttachedFile, Terms, attach_file, detach_file, list_files
from clients.streamlit_chat.base64_data import decode_base64
from clients.streamlit_chat.browser import get_attached, mount_attach
from clients.streamlit_chat.markdown import escape_markdown
from clients.streamlit_chat.talk import Talk
from clients.streamlit_chat.texts import say
from clients.streamlit_chat.wording import explain_to_visitor, log_failure

_ATTACHMENTS = "attachments"
# In Base64 it fits into a message to Streamlit: `maxMessageSize` of .streamlit/config.toml.
_LARGEST_BYTES = 5_000_000
_LONGEST_NAME = 255
_BY_STATUS = {409: "file_too_many", 413: "file_too_large", 422: "file_unreadable"}


@dataclass(slots=True)
class Chosen:
    """A file that is to be sent; under the same *request_key* it is attached once."""

    name: str
    data: bytes
    request_key: str


@dataclass(slots=True)
class Attachments:
    """Those of a conversation; `files` is None while they are not known, `failure` why the last one is not there."""

    conversation_id: str
    files: list[AttachedFile] | None = None
    chosen: Chosen | None = None
    failure: str = ""


def send_chosen(talk: Talk, api: ApiClient) -> None:
    """Attach what the visitor has chosen; the service reads it meanwhile."""
    known = _find(talk)
    if known.chosen is None:
        return
    name = escape_markdown(known.chosen.name)
    with st.spinner(say("attaching", name=name)):
        try:
            attach_file(api, talk.conversation_id, known.chosen.name, known.chosen.data, known.chosen.request_key)
        except ApiError as failure:
            log_failure(failure)
            known.failure = say("file_not_attached", name=known.chosen.name, reason=_explain(failure))
    known.chosen, known.files = None, None


def show_attachments(talk: Talk, api: ApiClient, terms: Terms) -> None:
    """The files of the conversation, each with a button that removes it, and one that attaches another."""
    send_chosen(talk, api)
    known = _find(talk)
    files = _list(known, api)
    if files:
        st.caption(say("attached"))
    for file in files:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(f":material/attach_file: {escape_markdown(file.name)}", width="content")
            if file.note:
                st.caption(say("file_in_part"), width="content")
            st.button(say("detach"), key=f"detach-{file.id}", on_click=_remove, args=(known, api, file))
    if known.failure:
        st.error(escape_markdown(known.failure), icon=":material/error:")
    if len(files) < terms.most_file_count:
        most_bytes = min(terms.most_file_bytes, _LARGEST_BYTES)
        mount_attach(most_bytes=most_bytes, on_attached=lambda: _choose(known, most_bytes))


def _find(talk: Talk) -> Attachments:
    known: Attachments | None = st.session_state.get(_ATTACHMENTS)
    if known is None or known.conversation_id != talk.conversation_id:
        known = Attachments(talk.conversation_id, None if talk.in_address else [])
        st.session_state[_ATTACHMENTS] = known
    return known


def _list(known: Attachments, api: ApiClient) -> list[AttachedFile]:
    if known.files is None:
        try:
            known.files = list_files(api, known.conversation_id)
        except ApiError as failure:  # asked again when the page is drawn again
            log_failure(failure)
            return []
    return known.files


def _choose(known: Attachments, most_bytes: int) -> None:
    """Note what the browser sent, which may be anything."""
    name, data = read_sent(get_attached())
    known.failure = ""
    if data is not None and len(data) <= most_bytes:
        known.chosen = Chosen(name, data, secrets.token_urlsafe(16))
    elif name:
        reason = say("file_too_large", size=f"{most_bytes / 1e6:g}")
        known.failure = say("file_not_attached", name=name, reason=reason)


def read_sent(sent: Any) -> tuple[str, bytes | None]:
    """The name and the bytes of a file, "" and None where there are none."""
    name, data = (sent.get("name"), sent.get("data")) if isinstance(sent, dict) else (None, None)
    if not isinstance(name, str) or not name:
        return "", None
    content = decode_base64(data)
    return ("", None) if content is None and isinstance(data, str) else (name[-_LONGEST_NAME:], content)


def _remove(known: Attachments, api: ApiClient, file: AttachedFile) -> None:
    known.failure = ""
    try:
        with ignore_missing():
            detach_file(api, known.conversation_id, file.id)
    except ApiError as failure:
        log_failure(failure)
        title, advice = explain_to_visitor(failure)
        known.failure = f"{title}: {advice}"
    known.files = None


def _explain(failure: ApiError) -> str:
    if isinstance(failure, ApiRefused) and failure.status in _BY_STATUS:
        return say(_BY_STATUS[failure.status], size=f"{_LARGEST_BYTES / 1e6:g}")
    return ": ".join(explain_to_visitor(failure))
