"""An answer as it is told: what stands before it, and its pieces."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from langchain_core.messages import BaseMessage

from agents.state import AgentContext, AnswerModel, ChatState
from agents.tools.state import list_unsuccessful
from prompts.rag import (
    FOUND_IN,
    IS_UNCERTAIN,
    MORE_ROWS,
    get_closest_passages_lead,
    get_foreign_quotes_lead,
    get_more_rows_lead,
)
from prompts.small_talk import names_heading
from prompts.tools import Outcome, format_outcomes
from retrieval.answerability import Verdict
from utils.language import detect_any_language
from utils.passages import Hit


@dataclass
class AnswerOutput:
    """Tells an answer as it comes; one that may be none, or is in another language, begins with words that say so."""

    run: AgentContext
    question: str  # the answer's own words are in its language
    is_uncertain: bool
    unsuccessful: Sequence[Outcome] = ()  # calls of tools that did not work, see `list_unsuccessful`
    is_named: bool = False  # the question names the heading of its answer
    _quoted_in: str = ""
    _more_rows: int = 0
    _has_begun: bool = False

    @property
    def introduction(self) -> str:
        """What stands before the answer."""
        if not (self.unsuccessful or self.is_uncertain or self._quoted_in or self._more_rows):
            return ""
        outcomes = format_outcomes(self.language, self.unsuccessful)
        closest = get_closest_passages_lead(self.language) if self.is_uncertain else ""
        return (
            (f"{outcomes}\n\n" if outcomes else "")
            + closest
            + get_more_rows_lead(self.language, self._more_rows)
            + (get_foreign_quotes_lead(self.language, self._quoted_in) if self._quoted_in else "")
        )

    @cached_property
    def language(self) -> str:
        """The language of what is said beside the answer: most answers need nothing, and it takes 0.5 ms to tell."""
        return detect_any_language(self.question)

    def read_chunk(self, chunk: BaseMessage | None) -> None:
        """Learn from the first *chunk* what has to be said before it."""
        if chunk is not None:
            is_doubted = bool(chunk.response_metadata.get(IS_UNCERTAIN)) and not self.is_named
            self.is_uncertain = self.is_uncertain or is_doubted
            self._quoted_in = self._quoted_in or str(chunk.response_metadata.get(FOUND_IN, ""))
            self._more_rows = self._more_rows or int(chunk.response_metadata.get(MORE_ROWS, 0))

    def emit(self, text: str) -> None:
        if text:
            self.run.emit({"type": "token", "content": text if self._has_begun else self.introduction + text})
            self._has_begun = True


def begin_output(state: ChatState, run: AgentContext, model: AnswerModel) -> AnswerOutput:
    """What tells the answer of *model*, before it says anything."""
    question = state["messages"][-1].text
    is_named = is_heading_named(question, state["passages"])
    is_uncertain = not (is_named or is_sure(state["verdict"], model))
    return AnswerOutput(run, question, is_uncertain, list_unsuccessful(state.get("tool_state")), is_named)


def is_sure(verdict: Verdict, model: AnswerModel) -> bool:
    """Whether an answer of *model* needs no warning by *verdict*.

    A language model says by itself when passages do not answer; quotes cannot.
    """
    return verdict.answerable if model.is_language_model else verdict.is_sure


def is_heading_named(question: str, hits: Sequence[Hit]) -> bool:
    """Whether the first of *hits* stands under the very heading that is asked for, whatever its single sentences say:
    then it is the answer."""
    return any(names_heading(question, hit.passage.title, hit.passage.last_heading) for hit in hits[:1])
