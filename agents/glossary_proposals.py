"""Glossaries of data sources that a tenant's language model proposes, and a person accepts."""

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import HumanMessage, SystemMessage

from agents.bots import BotDirectory
from agents.data_sources import DataSources
from agents.state import AnswerModels
from auth.principal import Principal
from datasources.catalog import OpenTable
from datasources.glossary import Portion, Proposal, cut_portions, merge_proposal, read_proposal, write_portion
from prompts.glossary import make_glossary_prompt, show_tables
from utils.errors import Conflict
from utils.model_json import find_json_object
from utils.validation import refuse_field

_MAX_PORTIONS = 6  # of one part
_AT_ONCE = 3  # calls of the model
_LONGEST_REPLY = 60_000  # characters
_NO_MODEL = (
    "No language model is configured, and nothing else can propose a glossary. Set LLM_BASE_URL or a key, or give the "
    "tenant's default bot a model; or write synonyms and descriptions yourself (allowed_tables, or `flask data allow`)."
)


@dataclass(frozen=True, slots=True)
class GlossaryPart:
    """`allowed_tables`: what is said of some tables with what `proposal` adds to it. `table_count` were looked at,
    `remaining` were not yet."""

    proposal: Proposal
    table_count: int
    allowed_tables: dict[str, dict[str, Any]]
    remaining: list[str]


class GlossaryProposer:
    """Asks the model of a tenant's default bot."""

    def __init__(self, bots: BotDirectory, models: AnswerModels, sources: DataSources) -> None:
        self._bots, self._models, self._sources = bots, models, sources

    async def propose(self, ctx: Principal, source_id: str, names: Collection[str] | None = None) -> GlossaryPart:
        """A proposal for the first of the tables *names* (None: all that may be read). Nothing is stored.

        Raises:
            NotFound: the tenant has no such data source.
            Conflict: nothing may be read of it, or there is no language model.
            BadInput: one of *names* is no table that may be read.
            ProviderError: the model did not answer.
        """
        tables = await self._sources.list_open_tables(ctx, source_id)
        first, remaining = _cut(_choose(tables, names))
        async with self._models.hold(ctx, await self._bots.get(ctx)) as model:
            if not model.is_language_model:
                raise Conflict(_NO_MODEL)
            proposal = await _ask(model.chat, cut_portions(first))
        allowed_tables = merge_proposal(proposal, tables)
        return GlossaryPart(proposal, len(first), allowed_tables, [each.key for each in remaining])


def _choose(tables: Sequence[OpenTable], names: Collection[str] | None) -> list[OpenTable]:
    keys = {each.key for each in tables}
    for name in names or ():
        if name not in keys:
            raise refuse_field(f"It has no table {name[:60]!r} that may be read.", "table_names")
    return [each for each in tables if names is None or each.key in names]


def _cut(tables: Sequence[OpenTable]) -> tuple[Sequence[OpenTable], Sequence[OpenTable]]:
    """The tables for one request, at least one, and the rest."""
    count = next(
        (index for index in range(1, len(tables)) if len(cut_portions(tables[: index + 1])) > _MAX_PORTIONS),
        len(tables),
    )
    return tables[:count], tables[count:]


async def _ask(chat: BaseChatModel, portions: Sequence[Portion]) -> Proposal:
    """What is proposed for all of *portions*."""
    places = asyncio.Semaphore(_AT_ONCE)

    async def ask(portion: Portion) -> Proposal:
        async with places:
            messages = [SystemMessage(make_glossary_prompt()), HumanMessage(show_tables(write_portion(portion)))]
            reply = (await chat.ainvoke(messages)).text[:_LONGEST_REPLY]
        return read_proposal(find_json_object(reply), portion)

    proposal = Proposal()
    for each in await asyncio.gather(*map(ask, portions)):
        proposal.add(each)
    return proposal
