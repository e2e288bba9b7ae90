"""What the answerer without a language model is asked: a question, passages, and what tools said to it."""

from collections.abc import Iterator, Sequence
from itertools import accumulate, groupby
from typing import NamedTuple, Protocol

from langchain_core.messages import BaseMessage, HumanMessage

from prompts.rag import NumberedPassage, number_passages
from providers.chat.quote_selection import SEPARATOR, Quote
from utils.passages import Passage

PASSAGES, RESULTS, REST = "passages", "results", "rest"  # in the `additional_kwargs` of the question
_LONGEST_RESULTS = 4_000  # characters of what tools said
_TABLE_HEAD = 2  # lines: names of columns, and a rule


class Judged(Protocol):
    """What a search has found."""

    @property
    def is_near(self) -> bool:
        """Whether its passages may be worth showing."""

    @property
    def is_sure(self) -> bool:
        """Whether they most likely hold an answer."""


class Rest(NamedTuple):
    """What of a question tools have not answered, and is quoted from the other passages; `language` is the asker's."""

    question: str
    found: Judged
    language: str


def quote_request(question: str, passages: Sequence[Passage], rest: Rest | None = None) -> list[BaseMessage]:
    """What `ExtractiveChatModel` is asked: *question*, to be answered from *passages*; `[n]` is the n-th of them.

    Where tools have given results these are the answer, and what else the passages say to the *rest*.
    """
    numbered = number_passages(passages)
    results = [each for each, passage in zip(numbered, passages, strict=True) if passage.tool]
    return [HumanMessage(question, additional_kwargs={PASSAGES: numbered, RESULTS: results, REST: rest})]


def read_request(messages: Sequence[BaseMessage]) -> tuple[str, list[NumberedPassage]]:
    """The question and what can be quoted: values beside its text, which brings no passages of its own."""
    message = find_question(messages)
    return message.text, message.additional_kwargs.get(PASSAGES, [])


def find_question(messages: Sequence[BaseMessage]) -> HumanMessage:
    """The message that asks."""
    return next((message for message in reversed(messages) if isinstance(message, HumanMessage)), HumanMessage(""))


def list_results(messages: Sequence[BaseMessage]) -> list[str]:
    """What tools said to the question, line by line: it was asked for, and needs no choosing. A table is one piece."""
    message = find_question(messages)
    results: list[NumberedPassage] = message.additional_kwargs.get(RESULTS, [])
    pieces = [piece for each in results for piece in _quote_lines(each)]
    ends = accumulate(len(piece) + len(SEPARATOR) for piece in pieces)
    return [piece for piece, end in zip(pieces, ends, strict=True) if end <= _LONGEST_RESULTS] or pieces[:1]


def _quote_lines(result: NumberedPassage) -> Iterator[str]:
    """Its lines with their marks; those of a table together, with a mark in the last cell of each row."""
    lines = [line for line in result.text.splitlines() if line.strip()]
    for is_table, group in groupby(lines, key=lambda line: line.startswith("|")):
        members = list(group)
        head = _TABLE_HEAD if is_table and len(members) > _TABLE_HEAD else 0
        quotes = [*members[:head], *(str(Quote(result.number, line)) for line in members[head:])]
        yield from ["\n".join(quotes)] if is_table else quotes
