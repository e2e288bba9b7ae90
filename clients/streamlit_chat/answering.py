"""Asking a question, and drawing the answer while it comes."""

import time
from contextlib import closing
from dataclasses import dataclass, replace

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from clients.api_answers import Message
from clients.api_client import ApiClient
from clients.api_errors import ApiError
from clients.run_events import (
    Answer,
    Cancelled,
    Event,
    Fallback,
    Reconnecting,
    Resumed,
    Stage,
    Started,
    Token,
    ToolEnded,
    ToolStarted,
    Waiting,
    WaitingCall,
)
from clients.streamlit_chat.actions import show_answer_actions
from clients.streamlit_chat.approvals import show_refused_decision, show_request
from clients.streamlit_chat.attempts import decide, end_attempt, fail_attempt, stop_answer, tell_decision
from clients.streamlit_chat.history import show_history
from clients.streamlit_chat.markdown import answer_markdown, escape_markdown
from clients.streamlit_chat.messages import open_bubble, show_answer
from clients.streamlit_chat.numbers import number_marks, renumber
from clients.streamlit_chat.polling import poll
from clients.streamlit_chat.talk import Attempt, Talk, put_in_address
from clients.streamlit_chat.texts import say
from clients.streamlit_chat.topics import show_follow_ups

_LOOK_UP_EVERY_S = 0.1
_SENDING_S = 5.0
_DATA_TOOLS = ("query_data", "draw_chart")
_STAGES = ("plan", "retrieve", "answer", "verify")


@dataclass(frozen=True, slots=True)
class Bubble:
    """Where an answer is drawn while it comes: its text, and what has happened to it."""

    text: DeltaGenerator
    notice: DeltaGenerator


def draw_answer(talk: Talk, api: ApiClient, attempt: Attempt, above_box: DeltaGenerator) -> None:
    """Ask, or follow the answer that is under way, and draw it to its end. What stops it stands *above_box*.

    Streamlit may stop the script at any line here. The run goes on at the service, and the attempt knows what has been
    seen of it, so the next run of the script draws on from there.
    """
    control = above_box.empty()
    # By its key page.js finds it.
    control.button(say("stop"), key="stop", icon=":material/stop_circle:", on_click=stop_answer)
    with open_bubble("assistant"):
        place, notice = st.empty(), st.empty()
        if attempt.request and not attempt.decision:
            _await_decision(talk, api, attempt, attempt.request)
            return
        try:
            if attempt.decision:
                tell_decision(api, attempt)
            if attempt.refused:
                st.rerun()
            last = _follow(talk, api, attempt, Bubble(place, notice))
        except ApiError as failure:
            fail_attempt(talk, attempt, failure)
            st.rerun()
        if isinstance(last, Waiting):
            st.rerun()
        if isinstance(last, Cancelled):
            end_attempt(talk, attempt)
            st.rerun()
        message, place_in_talk = _keep_answer(talk, attempt, last), attempt.before.length + 1
        notice.empty()
        control.empty()
        with place.container():
            show_answer(message, place_in_talk)
            show_answer_actions(message, place_in_talk, attempt.question, conversation_id=talk.conversation_id, api=api)
    show_follow_ups(message, place_in_talk, attempt.question, api)
    if attempt.parent or talk.question is not None:  # which has waited for this answer
        st.rerun()


def _keep_answer(talk: Talk, attempt: Attempt, last: Answer) -> Message:
    """The answer, which is in the conversation from here on: a button below it may be pressed as soon as it is drawn,
    while the rest of the page is not."""
    message = Message(
        "assistant",
        last.answer,
        last.citations,
        last.doubts,
        run_id=last.run_id,
        answered=last.answered,
        confidence=last.confidence,
        small_talk=last.small_talk,
        fallback_reason=last.fallback_reason,
        clarification=last.clarification,
        charts=last.charts,
        tables=last.tables,
    )
    runs = (last.run_id,) if last.run_id else ()
    asked = Message("user", attempt.question, run_id=last.run_id, parent_run_id=last.parent_run_id, siblings=runs)
    talk.conversation = replace(
        attempt.before, messages=(*attempt.before.messages, asked, message), persistence=last.persistence
    )
    if attempt.parent:  # how many versions there are of it, and what follows the others, knows the service
        talk.branch, talk.outdated = last.run_id or "", True
    talk.attempt = None
    return message


def _await_decision(talk: Talk, api: ApiClient, attempt: Attempt, request: WaitingCall) -> None:
    """Ask the visitor about a call; another question leaves it undone."""
    if talk.question is not None:
        end_attempt(talk, attempt)
        st.rerun()
    show_history(talk, api)
    show_request(request, on_decision=decide)
    if attempt.refused:
        show_refused_decision(attempt.refused)


def _follow(talk: Talk, api: ApiClient, attempt: Attempt, bubble: Bubble) -> Answer | Cancelled | Waiting:
    if attempt.run_id is None:
        attempt.is_sent = True
        stream = api.ask_stream(talk.conversation_id, attempt.question, attempt.parent)
    else:
        _show_begun(talk, api)
        stream = api.follow(attempt.run_id, attempt.after)
    _draw(attempt, bubble.text)
    sent_by_s = time.monotonic() + _SENDING_S
    with closing(poll(stream, _LOOK_UP_EVERY_S)) as batches:
        for batch in batches:
            # A question that was stopped on its way to the service would be lost, or wait for "Answer again".
            if attempt.run_id or time.monotonic() > sent_by_s:
                st.session_state.get("talk")  # lets Streamlit stop the script here
            for event, number in batch:
                if isinstance(event, Answer | Cancelled):
                    return event
                if isinstance(event, Waiting):
                    attempt.request, attempt.request_number = event.call, number
                    return event
                _take(attempt, event)
                attempt.after = number
                if isinstance(event, Started) and attempt.run_id is None:
                    attempt.run_id = event.run_id
                    _show_begun(talk, api)
            if batch:
                _draw(attempt, bubble.text)
                _tell(attempt, bubble.notice, is_lost=isinstance(batch[-1][0], Reconnecting))
    raise AssertionError("a stream ends with its run or an error")


def _take(attempt: Attempt, event: Event) -> None:
    """What an event changes; no line of it is one where Streamlit stops the script."""
    if isinstance(event, Stage):
        attempt.stage, attempt.tool = event.stage, ""
    elif isinstance(event, ToolStarted):
        attempt.tool = event.name
    elif isinstance(event, ToolEnded):
        attempt.tool = ""
    elif isinstance(event, Token):
        attempt.text += event.content
    elif isinstance(event, Resumed):
        attempt.text, attempt.is_anew = "", True
    elif isinstance(event, Fallback):
        attempt.text = ""


def _draw(attempt: Attempt, place: DeltaGenerator) -> None:
    if attempt.text:
        place.markdown(answer_markdown(renumber(f"{attempt.text} ▌", number_marks(attempt.text))))
    elif attempt.tool:
        is_data = attempt.tool in _DATA_TOOLS
        place.caption(say("stage_data" if is_data else "stage_tool", name=escape_markdown(attempt.tool)))
    elif attempt.stage:
        place.caption(say(f"stage_{attempt.stage if attempt.stage in _STAGES else 'working'}"))


def _tell(attempt: Attempt, notice: DeltaGenerator, *, is_lost: bool) -> None:
    if is_lost:
        notice.caption(f":material/cloud_off: {say('lost')}")
    elif attempt.is_anew:
        notice.caption(f":material/replay: {say('begins_anew')}")
    else:
        notice.empty()


def _show_begun(talk: Talk, api: ApiClient) -> None:
    if not talk.in_address:
        put_in_address(talk)
    show_history(talk, api)
