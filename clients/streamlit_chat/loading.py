"""The conversation that is shown brought up to date with what the service has of it."""

from contextlib import suppress
from dataclasses import replace

from clients.api_answers import Conversation
from clients.api_client import ApiClient
from clients.api_errors import ApiError, ignore_missing
from clients.streamlit_chat.attempts import end_attempt
from clients.streamlit_chat.talk import START, Attempt, Talk

_COMPLETED = "completed"


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
        _recall_stopped(talk, api)
    elif talk.outdated:
        known = talk.conversation
        with suppress(ApiError):  # then the question meets it too, and tells
            now = _fetch(talk, api)
            talk.conversation = now and _join(known, now)
        if talk.question and talk.conversation and _is_answered(talk.question, known, talk.conversation):
            talk.question = None
    talk.outdated = False
    if talk.conversation and (talk.conversation.running or talk.conversation.waiting):
        _take_up(talk, talk.conversation, talk.conversation.run_id)


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


def _take_up(talk: Talk, conversation: Conversation, run_id: str | None) -> None:
    """Follow the run that the last question is, or was, answered by."""
    *before, asked = conversation.messages or (None,)
    if run_id and asked and asked.role == "user":  # else it has just been answered
        earlier = replace(conversation, messages=tuple(before), running=False, waiting=False, run_id=None)
        talk.attempt = Attempt(asked.content, earlier, run_id, asked=asked)


def _recall_stopped(talk: Talk, api: ApiClient) -> None:
    """Show again what had come of the last answer before it was stopped: the service keeps it for a while."""
    conversation = talk.conversation
    if conversation is None or not conversation.messages or conversation.running or conversation.waiting:
        return
    last = conversation.messages[-1]
    with suppress(ApiError):  # then the question stands there without an answer
        if last.role == "user" and last.run_id and api.is_cancelled(last.run_id):
            _take_up(talk, conversation, last.run_id)


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
    return "" if talk.branch == START else talk.branch


def _settle(talk: Talk, api: ApiClient, attempt: Attempt) -> None:
    """Find out what has become of a question of which nothing was heard: the API may not even have it."""
    end_attempt(talk, attempt)
    with suppress(ApiError):
        now = api.conversation(talk.conversation_id)
        if attempt.parent or now.length > attempt.before.length:
            talk.branch = ""
            talk.conversation = now
