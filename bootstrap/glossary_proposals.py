"""What a command needs to have glossaries proposed."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, closing

from agents.glossary_proposals import GlossaryProposer
from bootstrap.bots import StoredBots, make_default_bot
from bootstrap.model_registry import ModelRegistry
from bootstrap.models import open_answer_model
from bootstrap.savers import make_keyring
from bootstrap.source_opening import open_data_sources
from bootstrap.tenant_models import TenantModels
from config import Settings
from domain.db import Database
from utils.observers import ModelObservers


@asynccontextmanager
async def open_proposer(settings: Settings, database: Database) -> AsyncIterator[GlossaryProposer]:
    """What proposes glossaries in a command, without a service."""
    keys = make_keyring(settings)
    async with AsyncExitStack() as stack:
        bots = stack.enter_context(closing(StoredBots(database, make_default_bot(settings))))
        tenant_models = stack.enter_context(closing(TenantModels(settings, database, keys)))
        own = await open_answer_model(stack, settings, None, ModelObservers())
        models = await stack.enter_async_context(aclosing(ModelRegistry(own, tenant_models.open)))
        sources = stack.enter_context(closing(open_data_sources(settings, database, keys)))
        yield GlossaryProposer(bots, models, sources)
