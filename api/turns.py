"""A question to a bot as a run: begun by whichever route takes it, and its answer awaited."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Literal

from flask import request

from agents.bots import BotConfig
from agents.messages import Past
from agents.runs.handle import RunHandle
from agents.runs.record import Event, RunRecord
from agents.tools.data import QUERY_DATA
from api.bots import load_bot
from api.idempotency import IDEMPOTENCY_HEADER, Identity, identify
from api.repeats import REPLAYED_HEADER, Repeatable
from api.services import services
from api.visitor_limits import join_headers
from auth.principal import Principal, PrincipalKind
from domain.data_sources import check_may_ask
from domain.in_thread import read
from server.admission import AdmissionPermit
from utils.errors import Conflict, NotFound, ProblemError, ReusedKey
from utils.logging_config import request_id
from utils.moments import format_now
from utils.validation import TRACE_PARENT

CONVERSATION_HEADER, RUN_HEADER, TRACE_HEADER = "X-Conversation-Id", "X-Run-Id", "traceparent"


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked, of which bot (None: the key's, or the default one), in which conversation (None: a new one).

    `past`: what was said before, where the conversation is new. `streams`: its answer is watched. `on_disconnect`: what
    becomes of the run when the caller leaves; None: as the request is one that may be sent again, or not.
    `data_source_id`: the data source that is asked alone; None: the bot answers from whatever it may. `parent_run_id`:
    of the turn that it follows; "": the last one. `fingerprint`: tells whether a request with an Idempotency-Key is the
    same, where the words of *message* do not: a recording may be understood in two ways. `emotion`: see `RunRecord`.
    """

    message: str
    conversation_id: str | None
    bot_id: str | None
    past: Past = ()
    streams: bool = False
    on_disconnect: Literal["cancel", "continue"] | None = None
    data_source_id: str | None = None
    parent_run_id: str = ""
    fingerprint: str = ""
    emotion: str = ""


@dataclass(frozen=True, slots=True)
class Turn:
    """A question under way: who asks, its run, whether that ends with the caller's leaving, and headers to send."""

    ctx: Principal
    record: RunRecord
    run: RunHandle
    leaving: bool
    headers: dict[str, str]

    async def wait_for_end(self) -> Event:
        """Its last event: `done`, or `waiting` where a person has to approve a call.

        Raises: as `RunHandle.wait` does.
        """
        try:
            return await self.run.wait()
        except asyncio.CancelledError:
            if self.leaving:
                self.run.leave()
            raise
        except ProblemError as error:
            error.headers = {**error.headers, RUN_HEADER: self.run.id}
            raise


@dataclass(frozen=True, slots=True)
class Reservation:
    """Room for a turn, and headers that tell what is left of the caller's limits, its question counted."""

    permit: AdmissionPermit
    headers: dict[str, str]


async def reserve_turn(ctx: Principal) -> Reservation:
    """Room for a turn, for `begin_turn`; its permit is to be released where that is not called.

    Raises:
        ProblemError: there is none, or the caller may not ask more.
    """
    check_turns_on_disk()
    permit = await services().admission.admit_turn(ctx)
    try:
        return Reservation(permit, await count_question(ctx))
    except BaseException:
        permit.release()
        raise


async def begin_turn(ctx: Principal, question: Question, reservation: Reservation | None = None) -> Turn:
    """Begin the run of *question*, or find the one that the same request began before.

    *reservation*: where the question had to be counted before it was known. Its permit is released here, or by the run.

    Raises:
        NotFound: the tenant has no such bot, or the key is for another one; or it has no such data source.
        Forbidden: the data source does not answer the caller.
        Conflict: the bot is switched off, or does not ask data sources.
        ReusedKey: the Idempotency-Key belongs to another request.
        ProblemError: there is no room for it, or the caller may not ask more.
    """
    try:
        ctx, record, ends_with_caller = await _make_record(ctx, question)
    except BaseException:
        if reservation is not None:
            reservation.permit.release()
        raise
    reserved = reservation or await reserve_turn(ctx)
    on_end = make_end(ctx, reserved.permit)
    run = await services().runs.start(record, on_end, ends_with_caller=ends_with_caller)
    if not run.is_new:
        record, _ = await services().runs.find(ctx, run.id)  # when it was begun, by the first of these requests
    headers = reserved.headers | {CONVERSATION_HEADER: record.conversation_id, RUN_HEADER: run.id}
    if not run.is_new:
        headers[REPLAYED_HEADER] = "true"
    return Turn(ctx, record, run, run.is_new and ends_with_caller, headers)


async def _make_record(ctx: Principal, question: Question) -> tuple[Principal, RunRecord, bool]:
    """Who asks the bot, the run to begin, and whether that ends with the caller's leaving."""
    ctx, bot = await load_bot(ctx, question.bot_id)
    if question.data_source_id is not None:
        await _check_data_source(ctx, bot, question.data_source_id)
    identity = _identify(ctx, question)
    record = RunRecord(
        id=identity.run_id,
        ctx=ctx,
        conversation_id=question.conversation_id or identity.run_id,
        message=question.message,
        past=question.past,
        request_id=request_id.get() or identity.run_id,
        streams=question.streams,
        fingerprint=identity.fingerprint,
        created_at=format_now(),
        keep_s=max(identity.keep_s, services().settings.conversation_ttl if bot.approvals else 0),
        bot_version=bot.version,
        model_id=bot.model_id,
        model_version=bot.model_version,
        trace_parent=_read_trace_parent(),
        data_source_id=question.data_source_id or "",
        parent_run_id=question.parent_run_id,
        emotion=question.emotion,
    )
    return ctx, record, (question.on_disconnect or identity.on_disconnect) == "cancel"


@asynccontextmanager
async def hold_repeats(ctx: Principal, question: Question) -> AsyncIterator[RunRecord | None]:
    """The run that the same request began before; None: this is the first, and no other begins one within the block.

    Raises:
        BadInput: the Idempotency-Key is not one.
        ReusedKey: it belongs to another request.
        RequestUnderWay: the same request is within its block.
        ProblemError: as `load_bot` and `Repeats.hold` do.
    """
    ctx, _ = await load_bot(ctx, question.bot_id)
    identity = _identify(ctx, question)
    if not identity.fingerprint:
        yield None
    elif repeated := await _find_repeated(ctx, identity):
        yield repeated
    else:
        # A name that no key has: under the key itself stands what other requests came to.
        repeatable = Repeatable.from_request(ctx, f"run {identity.run_id}", identity.fingerprint.encode())
        async with services().repeats.hold(repeatable):
            yield await _find_repeated(ctx, identity)  # again: it may have been begun since


async def _find_repeated(ctx: Principal, identity: Identity) -> RunRecord | None:
    try:
        record, _ = await services().runs.find(ctx, identity.run_id)
    except NotFound:
        return None
    if record.fingerprint != identity.fingerprint:
        raise ReusedKey
    return record


def _identify(ctx: Principal, question: Question) -> Identity:
    parts = [part for message in question.past for part in message]
    if question.data_source_id is not None:
        parts.append(question.data_source_id)
    if question.parent_run_id:
        parts.append(f"after {question.parent_run_id}")
    content = (question.conversation_id, question.fingerprint or question.message, *parts)
    return identify(ctx, request.headers.get(IDEMPOTENCY_HEADER), content)


async def _check_data_source(ctx: Principal, bot: BotConfig, source_id: str) -> None:
    await read(services().database, lambda session: check_may_ask(session, ctx, source_id))
    if QUERY_DATA not in bot.tools:
        raise Conflict(f"This bot asks no data sources: add {QUERY_DATA!r} to its tools.")


def check_turns_on_disk() -> None:
    """Return where the disk has room for what is said, if it is kept there.

    Raises:
        ProblemError: there is none.
    """
    if services().monitor.keeps_turns_on_disk:
        services().disk.check_turns()


def make_end(ctx: Principal, permit: AdmissionPermit) -> Callable[[int], None]:
    """What to call with the tokens of a turn when it has ended: it releases *permit* and charges a visitor."""
    limits = services().visitor_limits
    if ctx.kind is not PrincipalKind.VISITOR or limits is None:
        return lambda tokens: permit.release()
    visit = limits.find_visit(ctx, request)

    def end(tokens: int) -> None:
        permit.release()
        limits.charge(visit, tokens)

    return end


async def count_question(ctx: Principal) -> dict[str, str]:
    """Count a visitor's question; the headers that tell how many are left."""
    limits = services().visitor_limits
    if ctx.kind is not PrincipalKind.VISITOR or limits is None:
        return {}
    return join_headers(await limits.spend_question(limits.find_visit(ctx, request)))


def _read_trace_parent() -> str:
    value = request.headers.get(TRACE_HEADER, "")
    return value if TRACE_PARENT.fullmatch(value) else ""
