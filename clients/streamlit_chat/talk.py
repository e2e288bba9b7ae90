"""What a browser tab knows of its conversation between two runs of the page."""

import re
import secrets
from dataclasses import dataclass, field

import streamlit as st

from clients.api_answers import Conversation, Message
from clients.api_errors import ApiError, ApiRefused
from clients.run_events import WaitingCall
from clients.streamlit_chat.settings import read_settings
from clients.streamlit_chat.unanswered import Unanswered

PARAMETER = "c"  # of the page's address: its conversation
LONGEST_QUESTION = 5000
_TALK, _VISITOR = "talk", "visitor"
START = "start"  # what a first question follows
# Conversations of other users of the key may have ids that can be guessed; the page opens only such as it makes.
_OURS = re.compile(r"web-[A-Za-z0-9_-]{22}")


def make_conversation_id() -> str:
    """An id that nobody can guess: who knows it can read the conversation."""
    return f"web-{secrets.token_urlsafe(16)}"


@dataclass(slots=True)
class Attempt:
    """An answer under way: to which question, after what, and what has been seen of it.

    `run_id` is None until the service has taken the question, which `is_sent` to it before. `after`: the number of the
    last event of the run that is in `text` and the rest. `is_anew`: another worker has begun the answer again. `tool`:
    what is being used. `request`: a call that the visitor is asked about, which the event `request_number` told of;
    `decision`: "approve" or "reject"; `refused`: why the service did not take that. `parent`: the run of the turn that
    the question follows, None for the last one; `whole`: what was shown before, also of what does not lead to that
    turn. `asked`: the question as the service has it, where it was not asked here.
    """

    question: str
    before: Conversation
    run_id: str | None = None
    is_sent: bool = False
    after: int = 0
    text: str = ""
    stage: str = ""
    is_anew: bool = False
    tool: str = ""
    request: WaitingCall | None = None
    request_number: int = 0
    decision: str = ""
    refused: ApiRefused | None = None
    parent: str | None = None
    whole: Conversation | None = None
    asked: Message | None = None


@dataclass(slots=True)
class Talk:
    """One conversation.

    `conversation` is what is shown, None when the API knows better. `question` waits to be asked, or was refused with
    `failure`. `in_address`: it has begun, so a reload finds it, where browsers may keep its address. `attempt` is the
    answer under way, `stopped` whether the visitor wants it ended. `broken_off` has what was seen of answers that never
    became whole, by the place of their question; `unanswered` the questions that were left for another one. `gone`: the
    one asked for was not found. `outdated`: another tab may have said more since. `branch`: a run on the branch that is
    shown, "" for the one used last. `editing`: the place of the question that the next one stands beside; `parent`: the
    run that `question` follows, None for the last one.
    """

    conversation_id: str = field(default_factory=make_conversation_id)
    conversation: Conversation | None = None
    question: str | None = None
    failure: ApiError | None = None
    in_address: bool = False
    attempt: Attempt | None = None
    stopped: bool = False
    broken_off: dict[int, str] = field(default_factory=dict)
    unanswered: list[Unanswered] = field(default_factory=list)
    gone: bool = False
    outdated: bool = False
    branch: str = ""
    editing: int | None = None
    parent: str | None = None


def current_talk() -> Talk:
    """The conversation in the page's address, else the tab's own new one."""
    talk: Talk | None = st.session_state.get(_TALK)
    asked_for = st.query_params.get(PARAMETER)
    if talk is None or asked_for != (talk.conversation_id if talk.in_address and _may_stay_in_browser() else None):
        talk = _open_talk(asked_for)
        st.session_state[_TALK] = talk
    return talk


def put_in_address(talk: Talk) -> None:
    """Let a reload, and whoever is given the address, find the conversation."""
    if _may_stay_in_browser():
        st.query_params[PARAMETER] = talk.conversation_id
    talk.in_address = True


def leave_other_visitor(visitor_id: str) -> None:
    """Show nothing of the visitor before, where this browser tab has become another one's."""
    if st.session_state.get(_VISITOR) not in (None, visitor_id):
        st.session_state.clear()  # an open window may show a title or a link
        begin_anew()
    st.session_state[_VISITOR] = visitor_id


def begin_anew(*, gone: bool = False) -> Talk:
    """Leave the conversation for a new one."""
    talk = Talk(conversation=Conversation(()), gone=gone)
    st.session_state[_TALK] = talk
    st.query_params.pop(PARAMETER, None)
    return talk


def open_talk(conversation_id: str) -> None:
    """Go to a conversation from before; an id that the page did not make is not opened."""
    if is_ours(conversation_id):
        st.query_params[PARAMETER] = conversation_id


def is_ours(conversation_id: str) -> bool:
    """Whether the page makes such ids."""
    return _OURS.fullmatch(conversation_id) is not None


def _may_stay_in_browser() -> bool:
    """Browsers keep the addresses that they have opened."""
    return read_settings().local_history != "off"


def _open_talk(asked_for: str | None) -> Talk:
    if asked_for is not None and is_ours(asked_for) and _may_stay_in_browser():
        return Talk(asked_for, in_address=True)
    st.query_params.pop(PARAMETER, None)
    return Talk(conversation=Conversation(()))
