"""The tools of one turn: which may be used, how much, and how a call is made."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from langchain_core.language_models import BaseChatModel

from agents.artifacts import find_folder, name_rows_file
from agents.bots import BotConfig
from agents.tools.last_result import LastResult
from agents.tools.planner import AskedCall, Planner
from agents.tools.registry import ToolRegistry
from agents.tools.results import InvalidToolResult, check_result, clean_failure
from agents.tools.rule_planner import RulePlanner
from agents.tools.state import CallRecord, ToolState
from agents.tools.tool import Tool, ToolCall, ToolFailed, ToolResult
from auth.principal import Principal
from datasources.result_csv import write_csv
from providers.files.results import ResultFiles
from retrieval.attached import NOTHING_ATTACHED, AttachedPassages
from utils.errors import ProblemError, StoreUnavailable

logger = logging.getLogger(__name__)

CheckPermission = Callable[..., Awaitable[Principal]]
"""Gives a principal with the scopes that it still has; raises Forbidden where it lacks one of those that follow it."""
_SOURCE = "data_source"  # the argument by which tools are told which one to ask
_NOT_KEPT = "The conversation store is not available, so a tool that changes something is not called."
_CANCELLED = "The turn was cancelled."


@dataclass(frozen=True, slots=True)
class ToolLimits:
    """How much a turn may do with tools: decisions, calls, tokens of decisions, seconds. `head_rows`: of the last
    result of a query, that a language model is shown."""

    steps: int = 6
    calls: int = 8
    tokens: int = 50_000
    seconds: float = 60.0
    head_rows: int = 5


@dataclass(frozen=True, slots=True)
class Approval:
    """What the person said of a call that waits."""

    call_id: str
    approved: bool

    def store(self) -> str:
        """The decision as text, for `read`."""
        return f"{'approve' if self.approved else 'reject'}:{self.call_id}"

    @classmethod
    def read(cls, stored: str) -> "Approval | None":
        """What `store` made; None of an empty text."""
        word, _, call_id = stored.partition(":")
        return cls(call_id, word == "approve") if call_id else None


@dataclass(frozen=True, slots=True)
class ToolService:
    """What all turns of a process share. *check_permission* is asked before a tool that needs scopes is called, *files*
    keep the rows of large results."""

    registry: ToolRegistry
    check_permission: CheckPermission
    limits: ToolLimits = field(default_factory=ToolLimits)
    planner: Planner = field(default_factory=Planner)
    rules: RulePlanner = field(default_factory=RulePlanner)
    files: ResultFiles | None = None

    def open_turn(
        self,
        principal: Principal,
        bot: BotConfig,
        approval: Approval | None,
        is_durable: Callable[[], bool],
        is_unwanted: Callable[[], Awaitable[bool]],
        get_chat: Callable[[], BaseChatModel | None] = lambda: None,
        *,
        data_source_id: str = "",
        thread_id: str = "",
        attached: AttachedPassages = NOTHING_ATTACHED,
    ) -> "TurnTools | None":
        """The tools of *bot*; None where it names none. *is_durable*: whether what is kept now outlives this process.
        *is_unwanted*: whether the turn was cancelled, on whichever worker.

        *get_chat*: the bot's language model, None while there is none. *data_source_id*: only tools that ask a data
        source are offered, and they ask this one. *thread_id*: the conversation, *attached* its files.
        """
        if not bot.tools:
            return None
        chosen = self.registry.choose(bot.tools)
        for name in set(bot.tools) - {tool.name for tool in chosen}:
            logger.warning("The bot %s names the tool %s, which is not there.", bot.bot_id, name)
        offered = [tool for tool in chosen if tool.scopes <= principal.scopes]
        if data_source_id:
            offered = [tool for tool in offered if _SOURCE in tool.properties]
        until_s = time.monotonic() + self.limits.seconds
        return TurnTools(
            shared=self,
            principal=principal,
            bot=bot,
            offered=offered,
            approval=approval,
            is_durable=is_durable,
            is_unwanted=is_unwanted,
            until_s=until_s,
            get_chat=get_chat,
            data_source_id=data_source_id,
            thread_id=thread_id,
            attached=attached,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnTools:
    """The tools of one turn."""

    shared: ToolService
    principal: Principal
    bot: BotConfig
    offered: Sequence[Tool]
    approval: Approval | None
    is_durable: Callable[[], bool]
    is_unwanted: Callable[[], Awaitable[bool]]
    until_s: float  # of the monotonic clock
    get_chat: Callable[[], BaseChatModel | None]
    data_source_id: str
    thread_id: str
    attached: AttachedPassages

    async def keep_rows(self, call: CallRecord, result: ToolResult) -> str:
        """The file that now has all rows of *result*; "" where there is no room for it."""
        store, folder = self.shared.files, find_folder(self.thread_id)
        if store is None or result.data is None:
            return ""
        name, data = name_rows_file(call["call_id"]), result.data

        def write() -> None:
            store.put(folder, name, write_csv(data["columns"], [*data["rows"], *result.rest]))

        try:
            await asyncio.to_thread(write)
        except ProblemError as exc:
            logger.warning("The rows of a large result are not kept: %s", exc.detail)
            return ""
        return name

    def direct(self, call: AskedCall) -> AskedCall:
        """*call*, to the data source of this turn where it is about one alone, whatever its arguments name."""
        if not self.data_source_id or not isinstance(call.arguments, dict):
            return call
        return AskedCall(call.name, {**call.arguments, _SOURCE: self.data_source_id})

    def find(self, name: str) -> Tool | None:
        """The tool of that name, None if it is not offered."""
        return next((tool for tool in self.offered if tool.name == name), None)

    def find_limit(self, state: ToolState) -> str:
        """Which limit is reached, in plain words; "" where none is."""
        limits = self.shared.limits
        if state["steps"] >= limits.steps:
            return f"{limits.steps} decisions about tools were made."
        if len(state["calls"]) >= limits.calls:
            return f"{limits.calls} calls of tools were made."
        if state["tokens"] >= limits.tokens:
            return f"Decisions about tools took {state['tokens']:,} tokens."
        if time.monotonic() >= self.until_s:
            return f"Tools took {limits.seconds:g} s."
        return ""

    def has_side_effects(self, call: CallRecord) -> bool:
        """Whether *call* changes something."""
        tool = self.find(call["name"])
        return tool is not None and tool.has_side_effects

    def waits(self, call: CallRecord) -> bool:
        """Whether the person has to be asked about *call* first."""
        if call["name"] not in self.bot.approvals:
            return False
        return self.approval is None or self.approval.call_id != call["call_id"]

    def is_rejected(self, call: CallRecord) -> bool:
        """Whether the person has said no to *call*."""
        return call["name"] in self.bot.approvals and self.approval is not None and not self.approval.approved

    async def call(self, call: CallRecord, last: LastResult | None = None) -> ToolResult:
        """What the tool gives; *last* is the last result of a query.

        Raises:
            ToolFailed: it did not work, or may not be called.
            ToolBroke: what it gave cannot be used.
            TimeoutError: it did not end in time.
        """
        tool = self.find(call["name"])
        if tool is None:
            raise ToolFailed(self._explain_missing(call["name"]))
        if tool.has_side_effects and not self.is_durable():
            raise ToolFailed(_NOT_KEPT)
        principal = await self._check(tool)
        if tool.has_side_effects:
            await self._check_cancelled()
        head_rows = self.shared.limits.head_rows
        tool_call = ToolCall(
            principal, self.bot, call["arguments"], call["call_id"], self.get_chat(), last, head_rows, self.attached
        )
        seconds = min(tool.timeout_s, max(0.0, self.until_s - time.monotonic()))
        try:
            result = await _limit(tool.run(tool_call), seconds)
        except ToolFailed as exc:
            raise clean_failure(exc) from exc
        return check_result(result, tool.max_characters)

    async def _check_cancelled(self) -> None:
        try:
            if await self.is_unwanted():
                raise ToolFailed(_CANCELLED)
        except StoreUnavailable as exc:
            raise ToolFailed(_NOT_KEPT) from exc

    def _explain_missing(self, name: str) -> str:
        """Why a tool is not offered that was when it was asked for."""
        tools = [tool for tool in self.shared.registry.choose(self.bot.tools) if tool.name == name]
        missing_scopes = sorted(scope for tool in tools for scope in tool.scopes - self.principal.scopes)
        if not missing_scopes:
            return f"There is no tool {name!r} for this bot."
        return f"You may no longer use it: the key that asked for this no longer has the scope {missing_scopes[0]}."

    async def _check(self, tool: Tool) -> Principal:
        """The principal as it is now: a scope may have been taken away since the turn began."""
        if not tool.scopes:
            return self.principal
        try:
            return await self.shared.check_permission(self.principal, *sorted(tool.scopes))
        except ProblemError as exc:
            raise ToolFailed(exc.detail) from exc


async def _limit(work: Awaitable[ToolResult], seconds: float) -> ToolResult:
    """What *work* gives. It is left alone after *seconds*: one that takes no notice of being cancelled holds up nobody.

    Raises:
        TimeoutError: it did not end in time.
        ToolBroke: it tried to end the service, or cancelled itself.
    """
    task = asyncio.ensure_future(_contain(work))
    try:
        done, _ = await asyncio.wait({task}, timeout=seconds)
    finally:
        if not task.done():
            task.cancel()
            task.add_done_callback(_retrieve)
    if not done:
        raise TimeoutError
    if task.cancelled():
        raise InvalidToolResult("It cancelled itself.")
    return task.result()


async def _contain(work: Awaitable[ToolResult]) -> ToolResult:
    """What *work* gives. What ends a program or a task would end the service or the run, and then each worker that
    takes over."""
    try:
        return await work
    except (Exception, asyncio.CancelledError):
        raise
    except BaseException as exc:
        raise InvalidToolResult(f"It raised {type(exc).__name__}.") from exc


def _retrieve(task: "asyncio.Future[ToolResult]") -> None:
    """Take note of how it ended, which nobody waits for any more."""
    if not task.cancelled():
        task.exception()
