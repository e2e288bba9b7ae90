"""Conversations as they are read again: a part at a time, and single answers with their questions."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from langchain_core.messages import AIMessage, AnyMessage, HumanMessage

from agents.answer_places import AnswerPlaces
from agents.artifacts import Artifacts, SessionArtifacts, find_chart, find_folder, name_all, name_artifact
from agents.branches import PARENT, ConversationTurn, read_branches, show_messages, show_turns, split_turns
from agents.conversation_store import ConversationStore
from agents.messages import answer_id, drop_tool_messages, find_question_run, is_same_question, to_json
from domain.branches import START, Branches
from domain.transcript import make_missing_error
from utils.checkpointer.reading import ListPart, Window
from utils.errors import NotFound, ProblemError, StoreUnavailable

_AT_ONCE = 16  # messages that are looked through in one step for an answer whose place is not known
_ALL = 10_000_000  # messages
_BETWEEN = 8  # messages, calls of tools among them, that may stand from a question to its answer


@dataclass(frozen=True, slots=True, kw_only=True)
class PageRequest:
    """Which messages of a conversation: the last *limit* before the one at *before*, or of all.

    *branch*: a run on the branch that is shown; "": the one that goes on. *question* is being answered now, and follows
    the turn of *parent_run_id*; "": the last one.
    """

    limit: int
    before: int | None = None
    branch: str = ""
    question: HumanMessage | None = None
    parent_run_id: str = ""

    @property
    def names_branch(self) -> bool:
        """Whether another branch than the one that goes on may be meant."""
        return bool(self.branch or (self.question and self.parent_run_id))


@dataclass(frozen=True, slots=True)
class QuestionAndAnswer:
    """An answer and its question, as the API shows messages; `stands_alone`: nothing else was said before them."""

    question: dict[str, Any]
    answer: dict[str, Any]
    stands_alone: bool


class ConversationReader:
    """Reads no more of a conversation than is asked for, however long it is."""

    def __init__(self, store: ConversationStore, places: AnswerPlaces) -> None:
        self._store, self._places = store, places

    async def require(self, thread_id: str) -> None:
        """Return if there is such a conversation.

        Raises:
            NotFound: there is none.
            StoreUnavailable: it cannot be known while Redis is away.
        """
        await self._read_part(thread_id, limit=1)

    async def read_page(self, thread_id: str, request: PageRequest) -> dict[str, Any]:
        """The last messages of a branch, or those before a place, as the API shows them. `unanswered`: the run of the
        last question, where it stands without an answer. `question`, which is answered now, is kept only when it is.

        Raises:
            NotFound: there is no such conversation, and nothing is asked in it; or no turn of the branch's name.
            StoreUnavailable: it cannot be known while Redis is away.
        """
        window = Window(_ALL) if request.names_branch else Window(request.limit + _BETWEEN, request.before)
        others, part = await self._read_branches(thread_id, window)
        is_branch = request.names_branch or bool(others)
        if is_branch and part and len(part.items) < part.total:
            others, part = await self._read_branches(thread_id, Window(_ALL))
        if part is None and request.question is None:
            raise self._make_missing_error()
        part = part or ListPart([], 0, 0)
        page = show_branch(part.items, others, request) if is_branch else show_line(part, request)
        times = {"expires_in_s": await self._store.ttl_s(thread_id)}
        return {**page, **times, "persistence": self._store.persistence_of(thread_id)}

    async def _read_branches(self, thread_id: str, window: Window) -> tuple[list[AnyMessage], ListPart | None]:
        """The messages beside the branch that goes on, and a part of it, of the same moment: a run that begins another
        branch moves messages from one to the other."""
        parts = await self._store.aget_parts(thread_id, {"aside": Window(_ALL), "messages": window})
        return (parts["aside"].items, parts["messages"]) if parts else ([], None)

    async def answer(self, thread_id: str, run_id: str) -> QuestionAndAnswer:
        """The answer of a run, with its question.

        Raises:
            NotFound: there is no such conversation, or no such answer in it.
            StoreUnavailable: it cannot be known while Redis is away.
        """
        parts = await self._store.aget_parts(thread_id, {"aside": Window(_ALL)})
        is_aside = parts is not None and any(_is_answer([message], run_id) for message in parts["aside"].items)
        if not is_aside and (found := await self._find_on_line(thread_id, run_id)):
            return found
        others, part = await self._read_branches(thread_id, Window(_ALL))
        if part is None:
            raise self._make_missing_error()
        return find_answer(read_branches(part.items, others), run_id)

    async def _find_on_line(self, thread_id: str, run_id: str) -> QuestionAndAnswer | None:
        """The answer of a run where it is on the branch that goes on; None also where it left that meanwhile."""
        place = await self._find_place(thread_id, run_id)
        if place is None:
            return None
        part = await self._read_part(thread_id, limit=_BETWEEN + 1, before=place + 1)
        if not _is_answer(part.items, run_id):
            return None
        *before, answer = part.items
        positions = [at for at, message in enumerate(before, part.start) if isinstance(message, HumanMessage)]
        if not positions:
            return None
        question = before[positions[-1] - part.start]
        alone = await self._is_alone(thread_id, question, positions[-1])
        return QuestionAndAnswer(to_json(question), to_json(answer), alone)

    async def load_artifacts(self, thread_id: str) -> SessionArtifacts:
        """The artifacts that there are now, with what they hold.

        Raises:
            NotFound: there is no such conversation.
            StoreUnavailable: it cannot be known while Redis is away.
        """
        newest = (await self._read_part(thread_id, limit=_AT_ONCE)).items
        last = next((each for each in reversed(newest) if isinstance(each, AIMessage)), None)
        artifacts: Artifacts = last.additional_kwargs.get("artifacts", {}) if last else {}
        runs = {each["run_id"] for each in artifacts.values()}
        extras = {run_id: await self._read_extra(thread_id, run_id) for run_id in runs}
        found = SessionArtifacts(name_all(artifacts, thread_id))
        if "data" in artifacts:
            data, file = extras[artifacts["data"]["run_id"]].get("data"), artifacts["data"].get("file", "")
            found = replace(found, data=data, folder=find_folder(thread_id), file=file)
        if "image" in artifacts:
            extra = extras[artifacts["image"]["run_id"]]
            table = name_artifact("data", extra["artifacts"]["data"]) if extra else ""
            found = replace(found, chart=find_chart(extra), chart_data_name=table)
        return found

    async def _read_extra(self, thread_id: str, run_id: str) -> dict[str, Any]:
        """The members of the answer of a run beside its text; none where the answer is not there any more."""
        place = await self._find_place(thread_id, run_id)
        if place is None:
            return {}
        answer: AIMessage = (await self._read_part(thread_id, limit=1, before=place + 1)).items[0]
        return answer.additional_kwargs

    async def _find_place(self, thread_id: str, run_id: str) -> int | None:
        """Where the answer of a run stands: where it was noted, or else looked for, the newest first; None without one
        on the branch that goes on."""
        noted = await self._places.find(thread_id, run_id)
        if noted is not None:
            part = await self._read_part(thread_id, limit=1, before=noted + 1)
            if part.start == noted and _is_answer(part.items, run_id):
                return noted
        before: int | None = None
        while before != 0:
            part = await self._read_part(thread_id, limit=_AT_ONCE, before=before)
            for place, message in enumerate(part.items, part.start):
                if _is_answer([message], run_id):
                    return place
            before = part.start
        return None

    async def _is_alone(self, thread_id: str, question: AnyMessage, place: int) -> bool:
        """Whether nothing was said before the question but the same one, asked again as it failed."""
        for start in range(0, place, _AT_ONCE):
            stop = min(start + _AT_ONCE, place)
            earlier = drop_tool_messages((await self._read_part(thread_id, limit=stop - start, before=stop)).items)
            if any(message.text != question.text for message in earlier):
                return False
        return True

    async def _read_part(self, thread_id: str, *, limit: int, before: int | None = None) -> ListPart:
        parts = await self._store.aget_parts(thread_id, {"messages": Window(limit, before)})
        if parts is None:
            raise self._make_missing_error()
        return parts["messages"]

    def _make_missing_error(self) -> ProblemError:
        if self._store.persistence == "memory":
            return StoreUnavailable("Redis is away, and conversations from before cannot be read. Try again later.")
        return make_missing_error()


def show_line(part: ListPart, request: PageRequest) -> dict[str, Any]:
    """A page of a conversation without branches, of which no more than *part* is read; see
    `ConversationReader.read_page`."""
    messages, total, question = part.items, part.total, request.question
    is_new = question is not None and not any(is_same_question(message, question) for message in messages)
    if question is not None and is_new and request.before is None:
        messages, total = [*messages, question], total + 1
    hidden = max(0, len(part.items) - request.limit)
    last = find_question_run(messages[-1]) if messages and request.before is None else None
    views = _show_part(messages, hidden, is_whole=not part.start)
    place = {"total": total, "limit": request.limit, "offset": part.start + hidden}
    return {"messages": views, "unanswered": last, **place}


def show_branch(messages: Sequence[AnyMessage], others: Sequence[AnyMessage], request: PageRequest) -> dict[str, Any]:
    """A page of a conversation that is loaded as a whole; see `ConversationReader.read_page`."""
    line, question = list(messages), request.question
    if question is not None and any(is_same_question(message, question) for message in (*messages, *others)):
        question = None
    last = split_turns(line)[-1].run_id if line else START
    if question is not None:  # beside what was said, whichever turn it follows
        extra = {**question.additional_kwargs, PARENT: request.parent_run_id or last}
        others = [*others, question.model_copy(update={"additional_kwargs": extra})]
        last = find_question_run(question) or last
    branches = read_branches(line, others)
    end = branches.find_end(branches.find(request.branch)) if request.branch else branches.find(last)
    return cut_page(show_turns(branches, branches.list_path(end)), request)


def cut_page(views: list[dict[str, Any]], request: PageRequest) -> dict[str, Any]:
    """The part of the messages of a branch that is wanted."""
    stop = len(views) if request.before is None else min(request.before, len(views))
    start = max(0, stop - request.limit)
    is_open = request.before is None and bool(views) and views[-1]["role"] == "user"
    last = views[-1]["run_id"] if is_open else None
    place = {"total": len(views), "limit": request.limit, "offset": start}
    return {"messages": views[start:stop], "unanswered": last, **place}


def find_answer(branches: Branches[ConversationTurn], run_id: str) -> QuestionAndAnswer:
    """The answer of a run, on whichever branch.

    Raises:
        NotFound: there is none.
    """
    answers = ((at, turn.answer) for at, turn in enumerate(branches.turns) if turn.run_id == run_id)
    at, answer = next(((at, answer) for at, answer in answers if answer), (-1, None))
    if answer is None:
        raise make_no_answer_error()
    question = branches.turns[at].messages[0]
    before = [message for number in branches.list_path(at)[:-1] for message in branches.turns[number].messages]
    is_alone = all(message.text == question.text for message in drop_tool_messages(before))
    return QuestionAndAnswer(to_json(question), to_json(answer), is_alone)


def _show_part(messages: Sequence[AnyMessage], hidden: int, *, is_whole: bool) -> list[dict[str, Any]]:
    """The messages of a line, of which the first *hidden* ones are known but not shown."""
    views, former, place = list[dict[str, Any]](), START if is_whole else None, 0
    for turn in split_turns(messages):
        visible = turn.messages[max(0, hidden - place) :]
        views += show_messages(visible, {PARENT: former, "siblings": [turn.run_id]})
        former, place = turn.run_id, place + len(turn.messages)
    return views


def _is_answer(messages: Sequence[AnyMessage], run_id: str) -> bool:
    return bool(messages) and isinstance(messages[-1], AIMessage) and messages[-1].id == answer_id(run_id)


def make_no_answer_error() -> NotFound:
    """That the conversation has no answer of the run."""
    return NotFound("This conversation has no answer of this run.")
