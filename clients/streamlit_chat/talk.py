"""What a browser tab knows of its conversation between two runs of the page."""

import re
import secrets
from contextlib import suppress
from dataclasses import dataclass, field, replace

import streamlit as st

from clients.api_client import ApiClient, Conversation, Message
from clients.api_errors import ApiAway, ApiError, ApiRefused, ignore_missing
from clients.run_events import WaitingCall
from clients.streamlit_chat.settings import read_settings
from clients.streamlit_chat.unanswered import Unanswered
from clients.streamlit_chat.wording import explain_to_visitor, log_failure

PARAMETER = "c"  # of the page's address: its conversation
LONGEST_QUESTION = 5000
_TALK, _VISITOR = "talk", "visitor"
_START = "start"  # what a first question follows
_FORBIDDEN, _NOT_FOUND, _CONFLICT, _COMPLETED = 403, 404, 409, "completed"
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
    turn.
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


def ask(talk: Talk, question: str, parent: str | None = None) -> None:
    """Let *question* be asked in this run, in place of one that still waits or was refused.

    It follows the turn of *parent*, or else the last one.
    """
    _note_unanswered(talk, talk.question)
    talk.parent, talk.editing = parent, None
    talk.question, talk.failure, talk.stopped, talk.gone = question, None, False, False
    talk.outdated = talk.in_address


def begin_attempt(talk: Talk, before: Conversation, question: str) -> Attempt:
    """The answer to *question*, to be asked now; *before* is what leads to it."""
    parent = talk.parent or (find_last_run(before) if talk.branch else None)
    talk.attempt = Attempt(question, before, parent=parent, whole=talk.conversation)
    talk.question = talk.parent = None
    talk.broken_off = {place: seen for place, seen in talk.broken_off.items() if place < before.length}
    return talk.attempt


def find_last_run(conversation: Conversation) -> str:
    """The run of the last answer, or "start"."""
    answers = (each.run_id for each in reversed(conversation.messages) if each.role == "assistant" and each.run_id)
    return next(answers, _START)


def cut_before(conversation: Conversation, parent: str | None) -> Conversation:
    """What leads to a question that follows the turn of *parent*: without the question that does so now."""
    places = (at for at, each in enumerate(conversation.messages) if parent and each.parent_run_id == parent)
    at = next(places, None)
    return conversation if at is None else replace(conversation, messages=conversation.messages[:at])


def find_edited_parent(talk: Talk) -> str | None:
    """The run that the edited question follows; None where none is edited, or it was not answered yet."""
    if talk.editing is None or talk.conversation is None:
        return None
    at = talk.editing - talk.conversation.offset
    messages = talk.conversation.messages
    return messages[at].parent_run_id if 0 <= at < len(messages) else None


def choose_version(talk: Talk, run_id: str) -> None:
    """Show the branch of that run, to its last turn; not while an answer is coming."""
    if talk.attempt is None and talk.question is None:
        talk.branch, talk.conversation, talk.editing = run_id, None, None
        talk.broken_off, talk.unanswered = {}, []


def end_attempt(talk: Talk, attempt: Attempt) -> None:
    """There will be no more of this answer: leave what was seen of it."""
    before = attempt.before
    if attempt.text:
        talk.broken_off[before.length] = attempt.text
    talk.conversation = replace(before, messages=(*before.messages, Message("user", attempt.question)))
    if attempt.parent:
        talk.branch = attempt.parent
    talk.attempt = None


def fail_attempt(talk: Talk, attempt: Attempt, failure: ApiError) -> None:
    """Note why no more of this answer comes now; one that the service may still be at stays under way."""
    if isinstance(failure, ApiRefused) and failure.status == _NOT_FOUND and attempt.run_id:
        end_attempt(talk, attempt)  # a service that keeps runs in memory alone was restarted
        return
    log_failure(failure)
    talk.failure = failure
    if isinstance(failure, ApiAway) and failure.reached:
        return
    if attempt.run_id is None or (isinstance(failure, ApiRefused) and failure.ended_run):
        end_attempt(talk, attempt)
        talk.conversation = attempt.whole or attempt.before
        if talk.question is None:
            talk.question, talk.parent = attempt.question, attempt.parent
        else:  # another one waits
            _note_unanswered(talk, attempt.question)


def _note_unanswered(talk: Talk, question: str | None) -> None:
    """Remember that *question* is left without an answer, and the failure at hand as the reason."""
    if question is not None:
        place = talk.conversation.length if talk.conversation else 0
        reason = explain_to_visitor(talk.failure)[0] if talk.failure else ""
        talk.unanswered.append(Unanswered(question, place, reason))


def decide(decision: str) -> None:
    """Note what the visitor says of the call that the answer under way waits with."""
    attempt = current_talk().attempt
    if attempt is not None:
        attempt.decision, attempt.refused = decision, None


def tell_decision(api: ApiClient, attempt: Attempt) -> None:
    """Tell the service of it. Where it has been told already, by another tab, the answer goes on as well; where it
    refuses and still waits, the request stays.

    Raises:
        ApiError: the API is away or refuses.
    """
    request, decision, attempt.decision = attempt.request, attempt.decision, ""
    if request is None or attempt.run_id is None:
        return
    try:
        api.resume(attempt.run_id, request.call_id, decision)
    except ApiRefused as refused:
        if refused.status not in (_FORBIDDEN, _NOT_FOUND, _CONFLICT):
            raise
        if api.is_waiting(attempt.run_id, request.call_id):
            log_failure(refused)
            attempt.refused = refused
            return
        if refused.status != _CONFLICT:
            raise
    attempt.request, attempt.after = None, attempt.request_number


def stop_answer() -> None:
    """Have the answer under way ended at the service; what has come of it stays."""
    current_talk().stopped = True


def load(talk: Talk, api: ApiClient) -> Conversation | None:
    """The conversation so far, up to an answer under way; None if there is none of this id any more.

    Raises:
        ApiError: the API is away or refuses.
    """
    if talk.failure is None:
        _bring_up_to_date(talk, api)
        if talk.stopped and talk.attempt:
            _cancel(talk, api, talk.attempt)
        talk.stopped = False
    return talk.attempt.before if talk.attempt else talk.conversation


def _bring_up_to_date(talk: Talk, api: ApiClient) -> None:
    if talk.attempt and (talk.attempt.run_id or not talk.attempt.is_sent):
        return
    if talk.attempt:
        _settle(talk, api, talk.attempt)
    elif talk.conversation is None:
        talk.conversation = _fetch(talk, api)
    elif talk.outdated:
        known = talk.conversation
        with suppress(ApiError):  # then the question meets it too, and tells
            now = _fetch(talk, api)
            talk.conversation = now and _join(known, now)
        if talk.question and talk.conversation and _is_answered(talk.question, known, talk.conversation):
            talk.question = None
    talk.outdated = False
    if talk.conversation and (talk.conversation.running or talk.conversation.waiting):
        _take_up(talk, talk.conversation)


def _join(known: Conversation, now: Conversation) -> Conversation:
    """The conversation as it is now, with the earlier messages that are known, where none between is missing."""
    if not known.offset < now.offset <= known.length:
        return now
    earlier = known.messages[: now.offset - known.offset]
    return replace(now, messages=(*earlier, *now.messages), offset=known.offset)


def _is_answered(question: str, known: Conversation, now: Conversation) -> bool:
    """Whether a question that was last without an answer has got it after all, so that it need not be asked again."""
    last = known.messages[-1:]
    waited = [(message.role, message.content) for message in last] == [("user", question)]
    following = now.messages[max(0, known.length - now.offset) :]
    return waited and bool(following) and following[0].role == "assistant"


def _take_up(talk: Talk, conversation: Conversation) -> None:
    """Follow the run that the conversation is being answered by."""
    *before, asked = conversation.messages or (None,)
    if conversation.run_id and asked and asked.role == "user":  # else it has just been answered
        earlier = replace(conversation, messages=tuple(before), running=False, waiting=False, run_id=None)
        talk.attempt = Attempt(asked.content, earlier, conversation.run_id)


def _cancel(talk: Talk, api: ApiClient, attempt: Attempt) -> None:
    if not attempt.run_id:  # it was not sent yet
        end_attempt(talk, attempt)
        return
    state = _COMPLETED
    with ignore_missing():
        state = api.cancel(attempt.run_id)
    if state == _COMPLETED:  # before it could be stopped
        if attempt.parent:
            talk.branch = attempt.run_id
        talk.conversation, talk.attempt = _fetch(talk, api), None
    else:
        end_attempt(talk, attempt)


def load_earlier(talk: Talk, api: ApiClient) -> None:
    """Show the messages before those that are shown, too.

    Raises:
        ApiError: the API is away or refuses.
    """
    shown = talk.attempt.before if talk.attempt else talk.conversation
    if shown is None or not shown.offset:
        return
    earlier = api.conversation(talk.conversation_id, before=shown.offset, branch=_name_branch(talk))
    whole = replace(shown, messages=(*earlier.messages, *shown.messages), offset=earlier.offset)
    if talk.attempt:
        talk.attempt.before = whole
    else:
        talk.conversation = whole


def _fetch(talk: Talk, api: ApiClient) -> Conversation | None:
    with ignore_missing():
        return api.conversation(talk.conversation_id, branch=_name_branch(talk))
    return None


def _name_branch(talk: Talk) -> str:
    return "" if talk.branch == _START else talk.branch


def _settle(talk: Talk, api: ApiClient, attempt: Attempt) -> None:
    """Find out what has become of a question of which nothing was heard: the API may not even have it."""
    end_attempt(talk, attempt)
    with suppress(ApiError):
        now = api.conversation(talk.conversation_id)
        if attempt.parent or now.length > attempt.before.length:
            talk.branch = ""
            talk.conversation = now


def _may_stay_in_browser() -> bool:
    """Browsers keep the addresses that they have opened."""
    return read_settings().local_history != "off"


def _open_talk(asked_for: str | None) -> Talk:
    if asked_for is not None and is_ours(asked_for) and _may_stay_in_browser():
        return Talk(asked_for, in_address=True)
    st.query_params.pop(PARAMETER, None)
    return Talk(conversation=Conversation(()))
