"""The port for tools: a name, arguments by a JSON Schema, what a caller must be allowed, and limits."""

import json
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker, SchemaError, ValidationError
from langchain_core.language_models import BaseChatModel
from referencing import Registry

from agents.bots import BotConfig
from agents.tools.last_result import LastResult
from auth.principal import Principal
from auth.scopes import Scope
from retrieval.attached import NOTHING_ATTACHED, AttachedPassages
from retrieval.search import SearchResult
from utils.query_tables import Cell, QueryTable

NAME = re.compile(r"[a-z][a-z0-9_]{0,47}")  # what all vendors of models take
_LONGEST_FAULT = 200  # characters


class UnusableTool(Exception):
    """A tool that cannot be offered; the message says why."""


class ToolFailed(Exception):
    """A call did not work; the message is for the model and for whoever asked: short, and without secrets.

    *says_all*: it is in the language of the question, and answers it by itself, without the name of the tool.
    """

    def __init__(self, message: str, *, says_all: bool = False) -> None:
        super().__init__(message)
        self.says_all = says_all


class AsksBack(Exception):
    """A question may mean several things: which of *choices* the argument *name* is, beside the other *arguments*, the
    person has to say."""

    def __init__(self, name: str, choices: Sequence[str], arguments: Mapping[str, Any]) -> None:
        super().__init__(f"{name}: {', '.join(choices)}")
        self.name, self.choices, self.arguments = name, choices, arguments


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One call of a tool.

    Data is found by `principal`, whose scopes were asked for again, and by what `bot` may search. `idempotency_key` is
    the same for every try of this call and no other: what has side effects hands it on, so that nothing happens twice.
    `chat` is the bot's language model; None where it has none, or that is away. `last` is the result of the last query,
    where the conversation was about that; of it `chat` is shown `head_rows` rows. `attached`: files of the
    conversation.
    """

    principal: Principal
    bot: BotConfig
    arguments: Mapping[str, Any]
    idempotency_key: str
    chat: BaseChatModel | None = None
    last: LastResult | None = None
    head_rows: int = 5
    attached: AttachedPassages = NOTHING_ATTACHED


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What a call gave: `text` that a sentence of an answer may rest on, in plain words; or `found`, passages.

    `table`: the result of a query that `text` tells of; figures of the answer are held to its cells. `chart`: `spec`, a
    chart in Vega-Lite, and `alt`, what it shows in words. `data`: the result for whoever asked, as the API shows it,
    after so many `attempts`. `last`: what the next question may be about. `rest`: the rows after
    those of `data`, for a file.
    """

    text: str = ""
    found: SearchResult | None = None
    table: QueryTable | None = None
    chart: Mapping[str, Any] | None = None
    data: Mapping[str, Any] | None = None
    attempts: int = 1
    rest: Sequence[Sequence[Cell]] = ()
    last: LastResult | None = None


@dataclass(frozen=True)
class Tool:
    """Something the agent may use.

    Args:
        name: lower case letters, digits and underscores; bots and models name it so.
        description: what it does and when it is of use, in a sentence or two, for models and people.
        parameters: the JSON Schema of its arguments, an object (draft 2020-12).
        run: does it. Raises `ToolFailed`. Nothing about other tenants is to be had from it: it gets a principal.
        scopes: what whoever asks must be allowed.
        has_side_effects: it changes something. Such a call is kept before it begins and after it has ended, and is only
            tried again with the same idempotency key.
        timeout_s: after so many seconds it is given up.
        max_characters: of its text; a longer one counts as a failure, since a part of it may mislead.
        read_question: the arguments for a question that it understands as a whole, None for any other; it is also given
            the question before, "" without one. Where there is no language model, it is asked before the documents are
            searched. Raises `AsksBack` where the person has to choose.
        read_followup: the same for a question that goes on about the last result of a query.
        explain_refusal: what to say of a question that it nearly understands, "" of any other. Where there is no
            language model, it is asked when the documents do not surely answer either.
    """

    name: str
    description: str
    parameters: Mapping[str, Any]
    run: Callable[[ToolCall], Awaitable[ToolResult]] = field(repr=False)
    scopes: frozenset[Scope] = frozenset()
    has_side_effects: bool = False
    timeout_s: float = 20.0
    max_characters: int = 20_000
    read_question: Callable[[Principal, str, str], Awaitable[Mapping[str, Any] | None]] | None = field(
        default=None, repr=False
    )
    read_followup: Callable[[Principal, str, LastResult], Awaitable[Mapping[str, Any] | None]] | None = field(
        default=None, repr=False
    )
    explain_refusal: Callable[[Principal, str], Awaitable[str]] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        """Raises `UnusableTool` where the name or the schema is none."""
        if not NAME.fullmatch(self.name):
            raise UnusableTool(f"{self.name!r} is not a tool name: use 1 to 48 of a-z, 0-9 and _, a letter first.")
        if self.parameters.get("type") != "object":
            raise UnusableTool(f"{self.name}: the schema of its arguments must be of an object.")
        try:
            Draft202012Validator.check_schema(dict(self.parameters))
        except SchemaError as exc:
            raise UnusableTool(f"{self.name}: its JSON Schema is not valid: {exc.message[:_LONGEST_FAULT]}") from exc

    @cached_property
    def properties(self) -> Mapping[str, Mapping[str, Any]]:
        """The schema of each argument."""
        return dict(self.parameters.get("properties", {}))

    @property
    def required(self) -> Sequence[str]:
        """The arguments that must be there."""
        return list(self.parameters.get("required", ()))

    def find_fault(self, arguments: object) -> str:
        """What is wrong with *arguments*, for whoever made them; "" where they fit."""
        faults = sorted(self._validator.iter_errors(arguments), key=_place)
        return "; ".join(_describe(fault) for fault in faults[:3])

    @cached_property
    def _validator(self) -> Draft202012Validator:
        # Without a way to fetch anything: a schema that refers elsewhere is refused, not looked up.
        return Draft202012Validator(dict(self.parameters), registry=Registry(), format_checker=FormatChecker())


def _place(fault: ValidationError) -> list[str]:
    return list(map(str, fault.absolute_path))


def _describe(fault: ValidationError) -> str:
    where = ".".join(_place(fault))
    message = fault.message if len(fault.message) <= _LONGEST_FAULT else f"{fault.message[:_LONGEST_FAULT]}…"
    return f"{where}: {message}" if where else message


def write_arguments(arguments: Mapping[str, Any]) -> str:
    """Arguments as one line of JSON, the same for equal ones; 1.0 is 1, as JSON Schema has it."""
    return json.dumps(_write_whole_numbers(arguments), sort_keys=True, ensure_ascii=False)


def _write_whole_numbers(value: Any) -> Any:
    """*value* with whole numbers as integers, at every depth."""
    match value:
        case float() if value.is_integer():
            return int(value)
        case Mapping():
            return {name: _write_whole_numbers(each) for name, each in value.items()}
        case list():
            return [_write_whole_numbers(each) for each in value]
    return value
