"""Past conversations in the sidebar: opened, and deleted.

The browser lists what was asked in it; where the service keeps the visitor's conversations too, it lists those, which
can be searched, renamed, and restored after they were deleted (kept.py).
"""

from dataclasses import dataclass
from functools import partial

import streamlit as st

from clients.api_answers import Message
from clients.api_client import ApiClient
from clients.api_errors import ApiError, ignore_missing
from clients.streamlit_chat.browser import get_choice, mount_shelf
from clients.streamlit_chat.clearing import find_clearing, show_clear_button
from clients.streamlit_chat.failures import show_reason
from clients.streamlit_chat.kept import (
    are_shown,
    delete_with_undo,
    end_and_delete,
    find_kept,
    find_title,
    rename_chosen,
    show_kept,
    show_undo,
)
from clients.streamlit_chat.markdown import escape_markdown
from clients.streamlit_chat.settings import read_settings
from clients.streamlit_chat.signing_in import name_owner
from clients.streamlit_chat.talk import Talk, begin_anew, current_talk, is_ours, open_talk
from clients.streamlit_chat.texts import say
from clients.streamlit_chat.wording import log_failure

_LONGEST_TITLE = 80
_REMOVED, _DISCARDING = "removed", "discarding"


@dataclass(slots=True)
class Discarding:
    """A conversation that is deleted when the visitor says so; `failure` is why it could not be."""

    conversation_id: str
    title: str
    failure: ApiError | None = None


def show_history(talk: Talk, api: ApiClient | None = None) -> None:
    """The list in the sidebar, with the conversation that is shown on it once it has begun; once in a run.

    *api* lists what the service keeps; None while it is away.
    """
    current = None
    if talk.in_address:
        asked, offset = _questions(talk), _offset(talk)
        title, turns = _title(asked[0]) if asked else "", len(asked) + offset // 2
        current = {"id": talk.conversation_id, "title": title, "turns": turns, "fromStart": not offset}
    settings = read_settings()
    with st.sidebar:
        words, kept = "", None
        is_listed = settings.local_history == "on"
        is_quiet = talk.attempt is None or talk.attempt.request is not None  # no answer is coming now
        if api and is_listed:
            words, kept = show_kept(api, _put_back, has_begun=talk.in_address, asks=is_quiet)
        elif api:  # these are not shown, but can be cleared
            kept = find_kept(api, asks=is_quiet)
        mount_shelf(
            history=settings.local_history,
            owner=name_owner(settings),
            current=current,
            removed=st.session_state.get(_REMOVED, []),
            kept=kept if is_listed else None,
            is_search=bool(words),
            on_opened=_open,
            on_discarded=partial(_discard_chosen, api),
            on_renamed=rename_chosen,
            cleared=find_clearing(),
        )
        if kept is not None and not words and (kept or talk.in_address):
            show_clear_button()


def remove_from_history(conversation_id: str) -> None:
    """Let the browser forget a conversation that is no more."""
    st.session_state.setdefault(_REMOVED, []).append(conversation_id)


def discard_current(api: ApiClient) -> None:
    """Delete the conversation that is shown, in the way in which the list does it."""
    talk = current_talk()
    asked = _questions(talk)
    title = find_title(talk.conversation_id) or (asked[0] if asked else "")
    _discard(api, talk.conversation_id, title, in_head=True)


def show_undo_in_head(api: ApiClient) -> None:
    """What `discard_current` has deleted just now, and a button that brings it back."""
    show_undo(api, _bring_back, in_head=True)


def confirm_discarding(api: ApiClient) -> bool:
    """Ask before a conversation is deleted, where the visitor has chosen one; whether that is so."""
    discarding: Discarding | None = st.session_state.get(_DISCARDING)
    if discarding is not None:
        st.dialog(say("delete_this"), on_dismiss=_keep)(_confirm)(api, discarding)
    return discarding is not None


def _keep() -> None:
    st.session_state.pop(_DISCARDING, None)


def _confirm(api: ApiClient, discarding: Discarding) -> None:
    if _DISCARDING not in st.session_state:
        st.rerun()  # decided, and this is a run of the dialog alone
    named = f"**{escape_markdown(discarding.title)}**" if discarding.title else say("the_conversation")
    st.markdown(say("delete_it", title=named))
    show_reason(discarding.failure)
    with st.container(horizontal=True, horizontal_alignment="right"):
        st.button(say("keep_it"), on_click=_keep)
        st.button(say("delete_for_good"), type="primary", on_click=_delete, args=(api, discarding))


def _delete(api: ApiClient, discarding: Discarding) -> None:
    try:
        with ignore_missing():  # it has expired meanwhile
            end_and_delete(api, discarding.conversation_id, permanent=True)
    except ApiError as failure:
        log_failure(failure)
        discarding.failure = failure
        return
    _keep()
    remove_from_history(discarding.conversation_id)
    _leave(discarding.conversation_id)


def _open() -> None:
    conversation_id = get_choice("opened")
    if isinstance(conversation_id, str):
        open_talk(conversation_id)


def _discard_chosen(api: ApiClient | None) -> None:
    match get_choice("discarded"):
        case {"id": str(conversation_id), "title": str(title)} if is_ours(conversation_id):
            _discard(api, conversation_id, title, in_head=False)


def _discard(api: ApiClient | None, conversation_id: str, title: str, *, in_head: bool) -> None:
    """Where the service keeps conversations one is deleted at once, to be restored; elsewhere it is asked about."""
    if not api or not are_shown():
        st.session_state[_DISCARDING] = Discarding(conversation_id, _title(title))
    elif delete_with_undo(api, conversation_id, _title(title), in_head=in_head):
        remove_from_history(conversation_id)
        _leave(conversation_id)


def _bring_back(conversation_id: str) -> None:
    _put_back(conversation_id)
    open_talk(conversation_id)


def _put_back(conversation_id: str) -> None:
    removed: list[str] = st.session_state.get(_REMOVED, [])
    st.session_state[_REMOVED] = [one for one in removed if one != conversation_id]


def _leave(conversation_id: str) -> None:
    if current_talk().conversation_id == conversation_id:
        begin_anew()


def _questions(talk: Talk) -> list[str]:
    conversation = talk.attempt.before if talk.attempt else talk.conversation
    messages: tuple[Message, ...] = conversation.messages if conversation else ()
    asked = [message.content for message in messages if message.role == "user"]
    return [*asked, talk.attempt.question] if talk.attempt else asked


def _offset(talk: Talk) -> int:
    """How many messages stand before those that are known here."""
    conversation = talk.attempt.before if talk.attempt else talk.conversation
    return conversation.offset if conversation else 0


def _title(question: str) -> str:
    line = " ".join(question.split())
    return line if len(line) <= _LONGEST_TITLE else f"{line[:_LONGEST_TITLE].rstrip()}…"
