"""What answers questions: the runs of a service, and what they work with."""

import asyncio
import logging
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from uuid import uuid4

from redis.exceptions import RedisError

from agents.answer_cache import AnswerCache
from agents.answer_places import AnswerPlaces
from agents.attached_files import AttachedFiles
from agents.conversations import Conversations
from agents.data_sources import DataSources
from agents.glossary_proposals import GlossaryProposer
from agents.leases import Leases
from agents.runner import Runner
from agents.runs.deletions import RunDeletions
from agents.runs.outbox import Outbox
from agents.runs.run_store import RunStore
from agents.runs.runs import RunPolicy, Runs
from agents.runs.transcript_writer import TranscriptWriter
from agents.runs.worker import RunWorker
from agents.sharing import ConversationSharing
from agents.tools.registry import ToolRegistry
from agents.tools.turn import CheckPermission, ToolService
from agents.transcripts import Transcripts
from auth.principal import Principal
from bootstrap.bots import StoredBots, make_default_bot
from bootstrap.model_registry import ModelRegistry
from bootstrap.models import make_quotes, open_answers, open_entailment
from bootstrap.parts import Search, Stores, run_until_closed
from bootstrap.permissions import check_in_thread, make_permission_check
from bootstrap.savers import make_keyring, open_saver
from bootstrap.source_opening import open_data_sources
from bootstrap.stores import make_disk_space, open_deletions
from bootstrap.tenant_models import TenantModels
from bootstrap.tools import make_tool_limits, open_tools
from bootstrap.transcript_upkeep import TranscriptUpkeep
from config import Settings
from domain.db import Database
from domain.in_thread import read, wait_for_answer
from domain.progress import count_under_way
from domain.transcript_retention import DAY_S, Retention
from providers.files.results import ResultFiles
from utils.checkpointer import FallbackCheckpointer
from utils.checkpointer.clients import AsyncClient
from utils.errors import ProblemError

logger = logging.getLogger("bootstrap.services")

_LAST_RETURN_S = 7.0  # a Redis that failed is asked again after 5 s


@dataclass(frozen=True, slots=True)
class Agent:
    """What answers, and what it has said."""

    checkpointer: FallbackCheckpointer
    answers: AnswerCache | None
    runs: Runs
    conversations: Conversations
    bots: StoredBots
    transcripts: Transcripts
    transcript_writer: TranscriptWriter
    tenant_models: TenantModels
    tools: ToolRegistry
    data_sources: DataSources
    glossary: GlossaryProposer
    result_files: ResultFiles
    sharing: ConversationSharing
    attached_files: AttachedFiles


@dataclass(frozen=True, slots=True)
class _Memory:
    """What is kept of conversations and their runs: in Redis, or in SQL."""

    redis: AsyncClient
    leases: Leases
    checkpointer: FallbackCheckpointer
    places: AnswerPlaces
    deletions: RunDeletions
    run_store: RunStore
    outbox: Outbox
    transcripts: Transcripts


@dataclass(frozen=True, slots=True)
class _Parts:
    """What turns are answered with."""

    answers: AnswerCache | None
    bots: StoredBots
    tenant_models: TenantModels
    models: ModelRegistry
    data_sources: DataSources
    tools: ToolRegistry
    files: ResultFiles
    attached_files: AttachedFiles
    check_permission: CheckPermission


async def open_agent(stores: Stores, search: Search) -> Agent:
    """The agent; what it does not end with the stack another worker goes on with."""
    settings, memory = stores.settings, _open_memory(stores)
    parts = _open_parts(stores, search, memory)
    runner = await _open_runner(stores, search, memory, parts)
    worker = RunWorker(
        runner,
        memory.run_store,
        check_permission=parts.check_permission,
        outbox=memory.outbox,
        observer=stores.telemetry.runs,
    )
    runs = Runs(worker, memory.run_store, RunPolicy(keep_s=settings.run_ttl, hold_s=settings.run_lease))
    return Agent(
        memory.checkpointer,
        parts.answers,
        runs,
        _make_conversations(memory, parts, runs, worker),
        parts.bots,
        memory.transcripts,
        _start_work(stores, memory, worker, runs),
        parts.tenant_models,
        parts.tools,
        parts.data_sources,
        GlossaryProposer(parts.bots, parts.models, parts.data_sources),
        parts.files,
        _open_sharing(stores, memory),
        parts.attached_files,
    )


def _open_parts(stores: Stores, search: Search, memory: _Memory) -> _Parts:
    stack, settings, make_retriever = stores.stack, stores.settings, search.serving.make_retriever
    answers = open_answers(stack, settings, stores.database, memory.deletions)
    bots = StoredBots(stores.database, make_default_bot(settings))
    stack.callback(bots.close)
    tenant_models = _open_tenant_models(stores, search)
    models = ModelRegistry(search.model, tenant_models.open)
    stack.push_async_callback(models.aclose)
    data_sources = open_data_sources(
        settings,
        stores.database,
        make_keyring(settings),
        lambda: make_retriever().embedder,
        stores=stores.telemetry.stores,
    )
    stack.callback(data_sources.close)
    tools = open_tools(settings, make_retriever, data_sources)
    files = open_result_files(settings)
    attached = AttachedFiles(files, make_retriever, memory.deletions.find_last, most=settings.conversation_files)
    stack.push_async_callback(attached.aclose)
    check_permission = check_in_thread(stores.database, make_permission_check(settings))
    return _Parts(answers, bots, tenant_models, models, data_sources, tools, files, attached, check_permission)


async def _open_runner(stores: Stores, search: Search, memory: _Memory, parts: _Parts) -> Runner:
    settings = stores.settings
    return Runner(
        memory.checkpointer,
        store=memory.checkpointer,
        leases=memory.leases,
        retriever=search.serving.make_retriever,
        models=parts.models,
        bots=parts.bots,
        places=memory.places,
        transcripts=memory.transcripts,
        answers=parts.answers,
        is_judged=settings.verify_judge,
        entailment=await open_entailment(stores.stack, settings),
        tools=ToolService(parts.tools, parts.check_permission, make_tool_limits(settings), files=parts.files),
        attached_files=parts.attached_files,
        count_unread=partial(_count_unread, stores.database),
        is_run_deleted=memory.run_store.is_deleted,
        is_run_unwanted=memory.run_store.is_unwanted,
    )


def _make_conversations(memory: _Memory, parts: _Parts, runs: Runs, worker: RunWorker) -> Conversations:
    return Conversations(
        memory.checkpointer,
        leases=memory.leases,
        places=memory.places,
        transcripts=memory.transcripts,
        runs=runs,
        worker=worker,
        deletions=memory.deletions,
        outbox=memory.outbox,
        files=parts.files,
    )


async def _count_unread(database: Database, ctx: Principal) -> int:
    """Documents of the tenant that are still read; 0 where the database does not say it: a refusal does not need it."""
    try:
        return await wait_for_answer(read(database, partial(count_under_way, ctx=ctx)))
    except ProblemError as exc:
        logger.warning("How many documents are still read is not known: %s", exc.detail)
        return 0


def _open_sharing(stores: Stores, memory: _Memory) -> ConversationSharing:
    return ConversationSharing(
        stores.database,
        memory.transcripts,
        keys=make_keyring(stores.settings),
        outbox=memory.outbox,
        deletions=memory.deletions,
    )


def _open_memory(stores: Stores) -> _Memory:
    settings, redis, keys = stores.settings, stores.connections.asynchronous(), make_keyring(stores.settings)
    retention = make_retention(settings)
    leases = Leases(redis, hold_s=settings.run_lease, wait_s=settings.conversation_wait)
    checkpointer = FallbackCheckpointer(open_saver(settings, stores.connections), leases=leases)
    stores.stack.push_async_callback(_return_last, checkpointer)
    return _Memory(
        redis=redis,
        leases=leases,
        checkpointer=checkpointer,
        places=AnswerPlaces(redis, ttl_s=settings.conversation_ttl),
        deletions=open_deletions(settings, stores.connections),
        run_store=RunStore(
            redis, worker=uuid4().hex, hold_s=settings.run_lease, keys=keys, stores=stores.telemetry.stores
        ),
        outbox=Outbox(redis, default_s=retention.default_s, keys=keys),
        transcripts=Transcripts(stores.database, retention=retention, keys=keys, undo_s=settings.conversation_undo),
    )


def _open_tenant_models(stores: Stores, search: Search) -> TenantModels:
    models = TenantModels(
        stores.settings,
        stores.database,
        make_keyring(stores.settings),
        quotes=make_quotes(search.cached),
        observer=stores.telemetry.tenant_models,
    )
    stores.stack.callback(models.close)
    return models


def _start_work(stores: Stores, memory: _Memory, worker: RunWorker, runs: Runs) -> TranscriptWriter:
    """Begin what goes on until the stack is closed."""
    writer = TranscriptWriter(
        memory.outbox,
        stores.database,
        retention=memory.transcripts.retention,
        keys=make_keyring(stores.settings),
        list_unwritten=worker.list_unwritten,
    )
    embedded = stores.settings.redis_address is None
    upkeep = TranscriptUpkeep(stores.database, memory.transcripts, memory.redis, embedded=embedded)
    stores.stack.push_async_callback(_write_last, writer)
    for work in (runs.maintain(), writer.run(), upkeep.run()):
        run_until_closed(stores.stack, work)
    stores.stack.push_async_callback(runs.drain, 0)
    return writer


def open_result_files(settings: Settings) -> ResultFiles:
    """Where the rows of large results are, and the files that are attached to conversations."""
    keys, disk = make_keyring(settings), make_disk_space(settings)
    return ResultFiles(
        settings.chat_docs_folder,
        keys,
        disk,
        max_bytes=settings.tenant_max_result_bytes,
        keep_s=settings.conversation_ttl,
    )


def make_retention(settings: Settings) -> Retention:
    """How long conversations are kept in SQL."""
    days = settings.transcript_retention_days
    return Retention(settings.conversation_ttl if days is None else days * DAY_S)


async def _return_last(checkpointer: FallbackCheckpointer) -> None:
    """Write what is held in memory to Redis before it is lost with the process; say so where that cannot be done."""
    with suppress(TimeoutError):
        async with asyncio.timeout(_LAST_RETURN_S):
            while checkpointer.held_conversations:
                if not await checkpointer.return_held():
                    await asyncio.sleep(_LAST_RETURN_S / 20)
    if lost_count := checkpointer.held_conversations:
        logger.error("Redis is unavailable: %s conversations held in memory are lost as this process ends.", lost_count)


async def _write_last(writer: TranscriptWriter) -> None:
    """Write to the transcript what waits as the process ends: of what Redis was not told, nobody else knows."""
    with suppress(TimeoutError, ProblemError, RedisError):
        async with asyncio.timeout(_LAST_RETURN_S):
            while await writer.write_waiting():
                pass
