"""The chat page from top to bottom."""

import logging
from functools import partial

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from clients.api_answers import Conversation, Health, Message
from clients.api_client import ApiAddress, ApiClient
from clients.api_errors import ApiAway, ApiError
from clients.streamlit_chat.actions import show_answer_actions, show_editing
from clients.streamlit_chat.answering import draw_answer
from clients.streamlit_chat.attachments import send_chosen, show_attachments
from clients.streamlit_chat.attempts import ask, begin_attempt, cut_before, find_edited_parent
from clients.streamlit_chat.browser import mount_page_scripts
from clients.streamlit_chat.clearing import confirm_clearing
from clients.streamlit_chat.documents import show_documents, show_uploads_under_way
from clients.streamlit_chat.failures import show_failure
from clients.streamlit_chat.head import show_head, show_title
from clients.streamlit_chat.history import confirm_discarding, remove_from_history, show_history
from clients.streamlit_chat.language import show_language_switch
from clients.streamlit_chat.loading import load, load_earlier
from clients.streamlit_chat.markdown import escape_markdown
from clients.streamlit_chat.messages import ICON, show_draft, show_messages, show_waiting
from clients.streamlit_chat.settings import PageSettings, read_settings
from clients.streamlit_chat.sharing import show_sharing
from clients.streamlit_chat.signing_in import (
    forget_failed_sign_in,
    get_signed_in_token,
    name_owner,
    note_failed_sign_in,
    show_failed_sign_in,
    show_sign_in,
)
from clients.streamlit_chat.speaking import ask_spoken, show_microphone
from clients.streamlit_chat.talk import Talk, begin_anew, current_talk, leave_other_visitor
from clients.streamlit_chat.terms import find_terms, tell_terms
from clients.streamlit_chat.texts import say
from clients.streamlit_chat.topics import show_follow_ups, show_topics
from clients.streamlit_chat.visitor_cookie import get_current_visitor
from clients.streamlit_chat.wording import log_failure
from clients.visitors import Visitor

logger = logging.getLogger(__name__)
_PATIENCE_S = 10.0  # then the page says that the service is away, and still goes on by itself when it is back


def show_page() -> None:
    """Draw the page; called on every run of the script."""
    try:
        settings = read_settings()
    except ValueError:
        logger.exception("The chat page is not set up.")
        st.error(f"{say('not_set_up')}. {say('not_set_up_advice')}")
        return
    st.set_page_config(page_title=settings.title, page_icon=ICON)
    note_failed_sign_in()
    signed_in = get_signed_in_token(settings)
    if settings.sign_in and settings.sign_in.is_required and signed_in is None:
        _mount_scripts(settings, "")
        show_title(settings)
        show_language_switch(settings)
        show_sign_in()
        return
    visitor = get_current_visitor(settings.api.key, signed_in)
    leave_other_visitor(visitor.visitor_id)
    talk, api = current_talk(), _api(settings.api).for_visitor(visitor)
    _mount_scripts(settings, talk.conversation_id)
    above_box = st.bottom.container()
    question = st.chat_input(say("ask"), key="question")  # the same box in each language, and what is typed in it
    if question and question.strip():
        forget_failed_sign_in()
        ask(talk, question.strip(), find_edited_parent(talk))
    health = _health(settings.api)
    terms = find_terms(settings.api, api=api) if isinstance(health, Health) else None
    is_shareable = terms is not None and terms.are_shareable
    show_head(settings, talk, health if isinstance(health, Health) else None, api, is_shareable=is_shareable)
    show_failed_sign_in()
    takes_files = terms is not None and terms.most_file_count > 0
    if takes_files and talk.question is not None:
        send_chosen(talk, api)  # before the question, which may be about it
    takes_speech = terms is not None and terms.are_recordings_taken
    if takes_speech:
        ask_spoken(talk, api)
    _show_conversation(talk, api, health, above_box, visitor=visitor)
    talk = current_talk()
    with above_box:
        if takes_files and terms is not None:
            show_attachments(talk, api, terms)
        if takes_speech:
            show_microphone()


def _mount_scripts(settings: PageSettings, conversation: str) -> None:
    keeps_drafts, owner = settings.local_history != "off", name_owner(settings)
    mount_page_scripts(conversation, owner=owner, keeps_drafts=keeps_drafts)


def _show_conversation(
    talk: Talk, api: ApiClient, health: Health | ApiError, above_box: DeltaGenerator, *, visitor: Visitor
) -> None:
    is_asking = confirm_discarding(api) or confirm_clearing(api) or show_sharing(api)
    try:
        conversation = load(talk, api)
    except ApiError as failure:
        log_failure(failure)
        show_history(talk)
        show_failure(failure, talk, api)
        return
    if conversation is None:
        _replace_expired(talk)
        st.rerun()  # the head still has a button to delete it
    if talk.question is None and talk.attempt is None and not conversation.messages:
        _show_beginning(talk, api, health, visitor)
    else:
        with above_box:
            show_uploads_under_way(api, visitor)
        _show_talk(talk, api, conversation, above_box, holds=is_asking)


@st.cache_resource(show_spinner=False, max_entries=4, on_release=ApiClient.close)
def _api(address: ApiAddress) -> ApiClient:
    return ApiClient(address, patience_s=_PATIENCE_S)


def _health(address: ApiAddress) -> Health | ApiError:
    try:
        return _get_cached_health(address)
    except ApiError as failure:
        return failure


@st.cache_data(show_spinner=False, ttl=30, max_entries=4)
def _get_cached_health(address: ApiAddress) -> Health:
    return _api(address).health()


def _replace_expired(talk: Talk) -> None:
    """Begin a new conversation in place of one that is no more, with the question that was to be asked in it."""
    remove_from_history(talk.conversation_id)
    begin_anew(gone=talk.question is None).question = talk.question


def _show_beginning(talk: Talk, api: ApiClient, health: Health | ApiError, visitor: Visitor) -> None:
    """What stands where nothing has been said yet."""
    show_history(talk, api)
    if talk.gone:
        st.info(say("conversation_gone"))
    if isinstance(health, ApiAway):
        show_failure(health, talk, api)
    elif not talk.gone:
        settings = read_settings()
        with st.container(key="beginning"):  # one element, in whose place the first question comes at once
            st.markdown(say("welcome"))
            with st.container(key="topics"):  # what follows keeps its place when there are others, or none
                show_topics(api, settings.api, settings.title)
            show_documents(api, visitor)
            kept = tell_terms(find_terms(settings.api, api=api))
            st.caption(f"{say(f'history_{settings.local_history}')} {escape_markdown(kept)}")


def _show_talk(
    talk: Talk, api: ApiClient, conversation: Conversation, above_box: DeltaGenerator, *, holds: bool
) -> None:
    """The conversation, and the answer to a question; no answer is waited for when it *holds*."""
    asked = talk.attempt.question if talk.attempt else talk.question
    if talk.attempt is None and talk.question is not None:
        conversation = cut_before(conversation, talk.parent)
    waiting = () if asked is None else (Message("user", asked),)
    show_actions = partial(show_answer_actions, conversation_id=talk.conversation_id, api=api)
    if conversation.offset:
        st.button(say("show_earlier"), icon=":material/history:", on_click=_load_earlier, args=(talk, api))
        st.container(key="left-out").caption(say("left_out"))  # on paper, in place of the button
    show_messages(
        (*conversation.messages, *waiting),
        show_actions,
        broken_off=talk.broken_off,
        unanswered=talk.unanswered,
        offset=conversation.offset,
    )
    if asked is None or talk.failure or holds:
        show_history(talk, api)
        _show_rest(talk, api, conversation, above_box)
    else:
        attempt, answer = talk.attempt or begin_attempt(talk, conversation, asked), st.container()
        if talk.question is not None:  # it waits for the answer to the one before
            show_waiting(talk.question)
        with answer:
            draw_answer(talk, api, attempt, above_box)
        with above_box:
            show_editing(talk)
    if talk.conversation and talk.conversation.persistence == "memory":
        st.warning(say("in_memory"), icon=":material/warning:")


def _load_earlier(talk: Talk, api: ApiClient) -> None:
    try:
        load_earlier(talk, api)
    except ApiError as failure:
        log_failure(failure)
        talk.failure = failure


def _show_rest(talk: Talk, api: ApiClient, conversation: Conversation, above_box: DeltaGenerator) -> None:
    """What stands below a conversation in which no answer is coming now."""
    with above_box:  # a question far above may be the one
        show_editing(talk)
    if not (talk.attempt or talk.question) and len(conversation.messages) > 1:
        *_, asked, last = conversation.messages
        show_follow_ups(last, conversation.length - 1, asked.content, api)
    if talk.attempt and talk.attempt.text:
        show_draft(talk.attempt.text)
    if talk.failure:
        show_failure(talk.failure, talk, api)
    elif not (talk.attempt or talk.question) and conversation.messages and conversation.messages[-1].role == "user":
        question = conversation.messages[-1].content
        st.button(say("answer_again"), icon=":material/refresh:", on_click=ask, args=(talk, question))
