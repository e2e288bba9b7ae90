"""The visitor's conversations that the service keeps: searched, renamed, deleted, and restored for a while."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from http import HTTPStatus
from typing import Any

import streamlit as st

from clients.api_client import ApiClient
from clients.api_errors import ApiError, ApiRefused, ignore_missing
from clients.streamlit_chat.browser import get_choice
from clients.streamlit_chat.failures import show_reason
from clients.streamlit_chat.markdown import escape_markdown
from clients.streamlit_chat.settings import read_settings
from clients.streamlit_chat.talk import is_ours
from clients.streamlit_chat.texts import say
from clients.streamlit_chat.wording import explain_to_visitor, log_failure

_TRIES = 3
_UNDO_S = 60.0  # as the service has it, unless it is told otherwise
_LONGEST_TITLE, _LONGEST_SEARCH = 200, 200
_WORDS, _LISTED, _RENAMING, _DELETED = "shelf-words", "listed", "renaming", "deleted"
Listed = list[dict[str, Any]]


@dataclass(slots=True)
class Renaming:
    """A conversation that the visitor gives another title; `failure` is why it could not be."""

    conversation_id: str
    title: str
    failure: ApiError | None = None


@dataclass(slots=True)
class Deleted:
    """The conversation that was deleted last; `failure` is why it could not be deleted, or not be restored.

    `in_head`: by the button there, where its undo stands too: on a small screen the sidebar is out of sight.
    """

    conversation_id: str
    title: str
    in_head: bool = False
    failure: ApiError | None = None
    is_deleted: bool = True
    shown_until_s: float = field(default_factory=lambda: time.monotonic() + _UNDO_S)


def show_kept(
    api: ApiClient, put_back: Callable[[str], None], *, has_begun: bool, asks: bool
) -> tuple[str, Listed | None]:
    """The search, and what can be undone; the words that are searched for, and the conversations that the list shows.

    None in place of those where the service lists none. Unless the page *asks* for them, they are those of the last
    time: an answer does not wait for them again. *put_back* hears of one that is restored. *has_begun*: one is shown,
    which may not be listed yet.
    """
    words = str(st.session_state.get(_WORDS, "")).strip()
    kept = find_kept(api, words, asks=asks)
    if kept is None:
        return "", None
    show_undo(api, put_back, in_head=False)
    if kept or words or has_begun:
        st.text_input(
            say("search_conversations"),
            key=_WORDS,
            max_chars=_LONGEST_SEARCH,
            icon=":material/search:",
            placeholder=say("search_enter"),
        )
    if _RENAMING in st.session_state:
        shown = st.dialog(say("rename_this"), on_dismiss=_cancel_renaming)(_show_renaming)
        shown(api, st.session_state[_RENAMING])
    return words, kept


def find_kept(api: ApiClient, words: str = "", *, asks: bool) -> Listed | None:
    """The conversations that the service lists, those with all *words*; None where it lists none.

    Unless the page *asks* for them, they are those of the last time, if there was one: a page that is opened while an
    answer is coming has none.
    """
    if asks or _LISTED not in st.session_state:
        st.session_state[_LISTED] = _list(api, words)
    kept: Listed | None = st.session_state.get(_LISTED)
    return kept


def _list(api: ApiClient, words: str) -> Listed | None:
    try:
        found = api.conversations(words)
        return [
            {"id": one.id, "title": one.title, "used": datetime.fromisoformat(one.updated_at).timestamp() * 1000}
            for one in found
        ]
    except (ApiError, ValueError) as failure:
        if isinstance(failure, ApiRefused) and failure.status != HTTPStatus.NOT_FOUND:
            log_failure(failure)
        return None


def are_shown() -> bool:
    """Whether the page shows what the service lists, and what of it can be undone."""
    return read_settings().local_history == "on" and st.session_state.get(_LISTED) is not None


def find_title(conversation_id: str) -> str:
    """What the service calls it; empty where it does not list it."""
    listed: Listed = st.session_state.get(_LISTED) or []
    return next((str(each["title"]) for each in listed if each["id"] == conversation_id), "")


def rename_chosen() -> None:
    """Have the visitor asked how a conversation is to be called."""
    match get_choice("renamed"):
        case {"id": str(conversation_id), "title": str(title)} if is_ours(conversation_id):
            st.session_state[_RENAMING] = Renaming(conversation_id, title)


def delete_with_undo(api: ApiClient, conversation_id: str, title: str, *, in_head: bool) -> bool:
    """Delete it so that it can be restored for a while; whether that was done, of which `show_undo` tells."""
    st.session_state[_DELETED] = note = Deleted(conversation_id, title, in_head)
    try:
        with ignore_missing():  # it has expired meanwhile
            end_and_delete(api, conversation_id, permanent=False)
    except ApiError as failure:
        log_failure(failure)
        note.failure, note.is_deleted = failure, False
    return note.is_deleted


def end_and_delete(api: ApiClient, conversation_id: str, *, permanent: bool) -> None:
    """The service deletes no conversation that it is answering; an answer may begin while it is asked about it."""
    for tries_left in reversed(range(_TRIES)):
        run_id = _run_in(api, conversation_id)
        if run_id:
            api.cancel(run_id)
        try:
            api.delete(conversation_id, permanent=permanent)
        except ApiRefused as refusal:
            if refusal.status != HTTPStatus.CONFLICT or not tries_left:
                raise
        else:
            return


def _run_in(api: ApiClient, conversation_id: str) -> str | None:
    """By which run it is being answered; of one that has expired, ratings may be there to delete."""
    with ignore_missing():
        return api.conversation(conversation_id).run_id
    return None


def show_undo(api: ApiClient, put_back: Callable[[str], None], *, in_head: bool) -> None:
    """What was deleted just now, in the head or in the list, and a button that restores it; *put_back* hears of it."""
    note: Deleted | None = st.session_state.get(_DELETED)
    if note is None or note.in_head != in_head or time.monotonic() > note.shown_until_s:
        return
    named = f"“{note.title}”" if note.title else say("the_conversation")
    if note.failure:
        st.error(escape_markdown(_explain(named, note.failure)), icon=":material/error:")
    if note.is_deleted:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(say("deleted", title=escape_markdown(named)), width="stretch")
            st.button(say("undo"), icon=":material/undo:", on_click=_undo, args=(api, note, put_back))


def _explain(named: str, failure: ApiError) -> str:
    if isinstance(failure, ApiRefused) and failure.status == HTTPStatus.NOT_FOUND:
        return say("deleted_for_good", title=named)
    reason, advice = explain_to_visitor(failure)
    return say("stays", title=named, reason=reason, advice=advice)


def _undo(api: ApiClient, note: Deleted, put_back: Callable[[str], None]) -> None:
    try:
        api.restore(note.conversation_id)
    except ApiError as failure:
        log_failure(failure)
        note.failure, note.is_deleted = failure, False
        return
    put_back(note.conversation_id)
    st.session_state.pop(_DELETED, None)


def _cancel_renaming() -> None:
    st.session_state.pop(_RENAMING, None)


def _show_renaming(api: ApiClient, renaming: Renaming) -> None:
    if _RENAMING not in st.session_state:
        st.rerun()  # decided, and this is a run of the dialog alone
    with st.form("rename-form", border=False):
        title = st.text_input(say("title"), renaming.title, max_chars=_LONGEST_TITLE).strip()
        show_reason(renaming.failure)
        with st.container(horizontal=True, key="renaming-ways"):  # from the right: Enter presses the first one
            is_saved = st.form_submit_button(say("save"), type="primary")
            st.form_submit_button(say("cancel"), on_click=_cancel_renaming)
    if is_saved and title:
        _rename(api, renaming, title)
        st.rerun()


def _rename(api: ApiClient, renaming: Renaming, title: str) -> None:
    try:
        api.rename(renaming.conversation_id, title)
    except ApiError as failure:
        log_failure(failure)
        renaming.failure = failure
        return
    for each in st.session_state.get(_LISTED) or []:  # the head is drawn before they are listed again
        if each["id"] == renaming.conversation_id:
            each["title"] = title
    _cancel_renaming()
