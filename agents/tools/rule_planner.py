"""Decides about tools without a language model: by what their descriptions mean, and what the question says.

A tool is chosen where its description fits the question better than any passage of the documents does, and each of its
arguments stands in the question. Nothing is guessed: in doubt the documents answer.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jsonschema import Draft202012Validator

from agents.tools.planner import AskedCall, Decision
from agents.tools.registry import SEARCH_DOCUMENTS
from agents.tools.tool import Tool
from retrieval.answerability import Verdict, judge
from retrieval.question import Question
from utils.errors import ProviderError
from utils.facts.dates import find_dates
from utils.facts.folding import fold
from utils.facts.numbers import find_numbers
from utils.language import detect_language
from utils.passages import Hit, Passage
from utils.ports import Embedder, FloatArray

_MAX_KEPT = 1_000  # descriptions with their vectors
_LONGEST = 500  # characters of a question that is looked through
_QUOTED = re.compile(r"[“\"«]([^“”\"«»]{1,200})[”\"»]")
_LETTERS = re.compile(r"[^\W_]+")
_WORD = re.compile(r"[^\s,;!?()]+")


@dataclass(slots=True)
class RulePlanner:
    """Chooses a tool by rules; it keeps the vectors of the descriptions."""

    _vectors: dict[tuple[str, str], FloatArray] = field(default_factory=dict)

    async def decide(
        self, question: str, tools: Sequence[Tool], embedder: Embedder, *, document_evidence: float
    ) -> Decision:
        """A call, or the documents. *document_evidence*: how much speaks for the documents, as a `Verdict` has it."""
        text = question[:_LONGEST]
        choices = [(tool, read_arguments(tool, text)) for tool in tools if tool.name != SEARCH_DOCUMENTS]
        if all(arguments is None for _, arguments in choices):
            return Decision("documents")
        try:
            verdicts = [
                await self._judge(tool, _remove_values(arguments or {}, text), embedder) for tool, arguments in choices
            ]
        except ProviderError:
            return Decision("documents")
        best = max(range(len(verdicts)), key=lambda at: verdicts[at].evidence)
        tool, arguments = choices[best]
        # Where the one that fits best lacks an argument, no other is called in its place.
        if arguments is None or not verdicts[best].answerable or verdicts[best].evidence <= document_evidence:
            return Decision("documents")
        return Decision("calls", [AskedCall(tool.name, arguments)])

    async def _judge(self, tool: Tool, question: str, embedder: Embedder) -> Verdict:
        """How well the description of *tool* fits *question*."""
        text = f"{tool.name.replace('_', ' ')}. {tool.description}"
        key = (embedder.model, text)
        if key not in self._vectors:
            if len(self._vectors) >= _MAX_KEPT:
                self._vectors.clear()
            [self._vectors[key]] = await embedder.embed_passages([text], urgent=True)
        passage = Passage(tool.name, tool.name, "", "", None, None, "", 0, len(text), detect_language(text), text)
        vector = await embedder.embed_query(question)
        hit = Hit(passage, 1.0, float(np.dot(vector, self._vectors[key])), 0.0)
        return judge(Question(question), [hit], model=embedder.model)


def read_arguments(tool: Tool, question: str) -> dict[str, Any] | None:
    """The arguments of *tool* as *question* says them; None where one that is required cannot be read."""
    arguments: dict[str, Any] = {}
    for name, schema in tool.properties.items():
        values = list(dict.fromkeys(_find_values(schema, question)))
        alike = [other for other in tool.properties.values() if _get_kind(other) == _get_kind(schema)]
        # Which of two numbers is meant by which argument cannot be told.
        if len(values) == 1 and len(alike) == 1:
            arguments[name] = values[0]
    if any(name not in arguments for name in tool.required) or tool.find_fault(arguments):
        return None
    return arguments


def _remove_values(arguments: Mapping[str, Any], question: str) -> str:
    """*question* without what was read as an argument: no description has such values, and they hide what is meant."""
    for date in reversed(find_dates(question) if arguments else []):
        question = question if date.weekdays else question[: date.start] + question[date.end :]
    for value in arguments.values():
        question = question.replace(str(value), "")
    return " ".join(question.split())


def _get_kind(schema: Mapping[str, Any]) -> str:
    return repr([schema.get("enum"), schema.get("type"), schema.get("format"), schema.get("pattern")])


def _find_values(schema: Mapping[str, Any], question: str) -> Iterator[Any]:
    for is_such, find in _READERS:
        if is_such(schema):
            yield from find(schema, question)
            return


def _find_choices(schema: Mapping[str, Any], question: str) -> Iterator[Any]:
    words = _spell_out(question)
    for value in schema["enum"]:
        if isinstance(value, str) and _spell_out(value) in words:
            yield value


def _spell_out(text: str) -> str:
    """Its words, folded, with a blank around each."""
    return f" {' '.join(_LETTERS.findall(fold(text)))} "


def _find_days(schema: Mapping[str, Any], question: str) -> Iterator[str]:
    for date in find_dates(question):
        if len(date.readings) == 1 and None not in date.readings[0]:
            year, month, day = date.readings[0]
            yield f"{year:04}-{month:02}-{day:02}"


def _find_matches(schema: Mapping[str, Any], question: str) -> Iterator[str]:
    validator = Draft202012Validator(dict(schema))
    for word in _WORD.findall(question):
        bare = word.strip(".:\"'“”«»")
        if len(bare) <= 100 and validator.is_valid(bare):
            yield bare


def _find_quotes(schema: Mapping[str, Any], question: str) -> Iterator[str]:
    yield from _QUOTED.findall(question)


def _find_amounts(schema: Mapping[str, Any], question: str) -> Iterator[float | int]:
    days = [(date.start, date.end) for date in find_dates(question)]
    for number in find_numbers(question):
        in_a_day = any(start <= number.start < end for start, end in days)
        values = {value for kind, value in number.keys if kind == "n"}
        if len(values) == 1 and not in_a_day and not number.is_weak:
            value = values.pop()
            if schema["type"] == "number" or value.is_integer():
                yield int(value) if value.is_integer() else value


_Find = Callable[[Mapping[str, Any], str], Iterator[Any]]
_READERS: Sequence[tuple[Callable[[Mapping[str, Any]], bool], _Find]] = (
    (lambda schema: "enum" in schema, _find_choices),
    (lambda schema: schema.get("format") == "date", _find_days),
    (lambda schema: schema.get("type") == "string" and "pattern" in schema, _find_matches),
    (lambda schema: schema.get("type") == "string", _find_quotes),
    (lambda schema: schema.get("type") in ("integer", "number"), _find_amounts),
)
