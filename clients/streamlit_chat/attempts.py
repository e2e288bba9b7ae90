"""Asking a question, and what becomes of the answer to it: it ends, fails, or waits for the visitor's decision."""

from dataclasses import replace

from clients.api_answers import Conversation, Message
from clients.api_client import ApiClient
from clients.api_errors import ApiAway, ApiError, ApiRefused
from clients.streamlit_chat.talk import START, Attempt, Talk, current_talk
from clients.streamlit_chat.unanswered import Unanswered
from clients.streamlit_chat.wording import explain_to_visitor, log_failure

_FORBIDDEN, _NOT_FOUND, _CONFLICT = 403, 404, 409


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
    return next(answers, START)


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
    talk.conversation = replace(before, messages=(*before.messages, attempt.asked or Message("user", attempt.question)))
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
