"""The branches of a conversation in its state: one is `messages`, what a model is told; turns of others are `aside`.

So a turn costs what it would without branches, unless it begins one or goes on with another. Each question in `aside`
says which turn it follows; in `messages` that is the one before it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, RemoveMessage
from langgraph.graph.message import REMOVE_ALL_MESSAGES

from agents.messages import answer_id, drop_tool_messages, is_same_question, to_json
from agents.state import ChatState
from domain.branches import START, Branches, TurnPosition

PARENT = "parent_run_id"
_EMPTY: Any = RemoveMessage(REMOVE_ALL_MESSAGES)  # what was said before is not there any more


@dataclass(frozen=True, slots=True)
class ConversationTurn:
    """A question with what was said to it, and the run that it follows."""

    run_id: str
    parent_run_id: str
    messages: Sequence[AnyMessage]

    @property
    def asked_at(self) -> str:
        """When it was asked; "" where that is not known."""
        return str(self.messages[0].additional_kwargs.get("created_at") or "")

    @property
    def answer(self) -> AIMessage | None:
        """Its answer; None where it has none."""
        message_id = answer_id(self.run_id)
        return next((each for each in self.messages if isinstance(each, AIMessage) and each.id == message_id), None)

    def locate(self) -> TurnPosition:
        """Where it stands."""
        return TurnPosition(self.run_id, self.parent_run_id)

    def add_parent(self) -> list[AnyMessage]:
        """Its messages as they stand in `aside`: the question says which turn it follows."""
        first, *others = self.messages
        extra = {**first.additional_kwargs, PARENT: self.parent_run_id}
        return [first.model_copy(update={"additional_kwargs": extra}), *others]


def read_branches(messages: Sequence[AnyMessage], others: Sequence[AnyMessage]) -> Branches[ConversationTurn]:
    """All turns of a conversation; *others* are the messages in its `aside`."""
    line = split_turns(messages)
    former = [START, *(turn.run_id for turn in line)]
    placed = [ConversationTurn(turn.run_id, parent, turn.messages) for turn, parent in zip(line, former, strict=False)]
    return Branches(_sort([*placed, *split_turns(others)]), ConversationTurn.locate)


def split_turns(messages: Iterable[AnyMessage]) -> list[ConversationTurn]:
    """*messages* by questions; the turn that each follows as its question says it."""
    turns = list[list[AnyMessage]]()
    for message in messages:
        if not turns or isinstance(message, HumanMessage):
            turns.append([])
        turns[-1].append(message)
    return [ConversationTurn(_name(group[0]), group[0].additional_kwargs.get(PARENT, START), group) for group in turns]


def choose_branch(
    messages: Sequence[AnyMessage], others: Sequence[AnyMessage], parent_run_id: str, question: HumanMessage
) -> ChatState:
    """What makes the turns up to that of *parent_run_id* the `messages` of the state, in place of those that it has;
    nothing where they are. *question*, which comes next, may stand there from a former attempt.

    Raises:
        NotFound: there is no such turn.
        Conflict: as many questions as may be follow it.
    """
    branches = read_branches(messages, others)
    at = branches.find(parent_run_id)
    for last in split_turns(messages)[-1:]:
        if last.run_id == parent_run_id or is_same_question(last.messages[0], question):
            return {}
    branches.check_room(at)
    path = branches.list_path(at)
    chosen = frozenset(path)
    rest = [turn for number, turn in enumerate(branches.turns) if number not in chosen]
    line = [message for number in path for message in branches.turns[number].messages]
    return {
        "messages": [_EMPTY, *line],
        "aside": [message for turn in rest for message in turn.add_parent()],
    }


def find_parent(messages: Sequence[AnyMessage], question: HumanMessage) -> str:
    """The run of the turn before the one in which *question* was asked; `START` where there is none."""
    questions = (message for message in reversed(messages) if isinstance(message, HumanMessage))
    for message in questions:
        if is_same_question(message, question):
            break
    former = next(questions, None)
    return START if former is None else _name(former)


def show_turns(branches: Branches[ConversationTurn], numbers: Iterable[int]) -> list[dict[str, Any]]:
    """The messages of these turns as the API shows them."""
    views = list[dict[str, Any]]()
    for at in numbers:
        place = {PARENT: branches.name_parent(at), "siblings": branches.list_siblings(at)}
        views += show_messages(branches.turns[at].messages, place)
    return views


def show_messages(messages: Iterable[AnyMessage], place: dict[str, Any]) -> list[dict[str, Any]]:
    """The messages of one turn as the API shows them; *place*: what it says of where the question stands."""
    pairs = ((message, to_json(message)) for message in drop_tool_messages(messages))
    return [view | place if isinstance(message, HumanMessage) else view for message, view in pairs]


def _name(message: AnyMessage) -> str:
    """The run of a question, or of an answer whose question is not at hand; what was said before a conversation began
    has names of its own."""
    return (message.id or "").partition("@")[0].removesuffix("-q").removesuffix("-a")


def _sort(turns: Sequence[ConversationTurn]) -> list[ConversationTurn]:
    """*turns* as they were asked; whatever clocks say, none before the one it follows."""
    missing = {turn.run_id for turn in turns}
    waiting, placed = sorted(turns, key=lambda turn: turn.asked_at), list[ConversationTurn]()
    while waiting:
        late = list[ConversationTurn]()
        for turn in waiting:
            if turn.parent_run_id in missing and turn.parent_run_id != turn.run_id:
                late.append(turn)
            else:
                placed.append(turn)
                missing.discard(turn.run_id)
        if len(late) == len(waiting):  # nothing that the service writes
            return [*placed, *late]
        waiting = late
    return placed
