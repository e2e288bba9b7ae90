"""The port to a tenant's data sources: what tools ask of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from langchain_core.language_models import BaseChatModel

from agents.tools.last_result import LastResult, keep_rows
from auth.principal import Principal
from datasources.results import Result
from utils.errors import Conflict
from utils.query_tables import QueryTable


@dataclass(frozen=True, slots=True)
class DataAnswer:
    """What a question to a database gave: `table` is what of `result` an answer may rest on. `understood`: what it asks
    for in words, and `lines`, which answer it; both empty where a language model wrote the query. `stamp` and
    `earlier`: as in `LastResult`."""

    table: QueryTable
    result: Result
    understood: str = ""
    source_id: str = ""
    attempts: int = 1
    lines: tuple[str, ...] = ()
    stamp: str = ""
    earlier: tuple[str, ...] = ()

    def keep(self, question: str) -> LastResult | None:
        """What the next question may be about."""
        if not self.stamp:
            return None
        last = LastResult(question, self.table, self.source_id, self.stamp, self.understood, self.earlier)
        return keep_rows(last, self.result.rows)


class NoReadableTables(Conflict):
    """Nothing may be read of the data source yet."""

    def __init__(self, source_name: str) -> None:
        super().__init__(f"Nothing may be read of the data source {source_name!r} yet: see its allowed_tables.")
        self.source_name = source_name


class DataAsker(Protocol):
    """Asks the data sources that a principal may ask."""

    async def ask(
        self, ctx: Principal, question: str, source_name: str | None, chat: BaseChatModel | None = None
    ) -> DataAnswer:
        """What the data source of this name says, None: the only one. The model writes the query; without, rules do."""
        ...

    async def ask_followup(self, ctx: Principal, question: str, last: LastResult) -> DataAnswer:
        """What its data source says of the rows that *last* is about, by a query of rules with the same conditions."""
        ...

    async def match_sources(self, ctx: Principal, question: str) -> Sequence[Mapping[str, str]]:
        """The data sources of which rules understand all of a question, as arguments that name them."""
        ...

    async def explain_refusal(self, ctx: Principal, question: str) -> str:
        """Why rules do not understand a question that they nearly do, with questions that work; "" of any other."""
        ...

    async def match_followup(self, ctx: Principal, question: str, last: LastResult) -> bool:
        """Whether rules understand *question* together with what was asked for *last*, and not by itself."""
        ...

    async def read_stamp(self, ctx: Principal, source_id: str) -> str:
        """The stamp that the data source has now, see `LastResult`."""
        ...

    async def list_examples(self, ctx: Principal, source_name: str | None, language: str) -> Sequence[str]:
        """At most three questions in *language* that rules understand; None: of any data source."""
        ...
