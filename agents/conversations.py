"""Conversations as their owners deal with them: read, deleted and restored, whether their state has expired or not."""

import asyncio
from contextlib import suppress
from dataclasses import replace
from typing import Any

from agents.answer_places import AnswerPlaces
from agents.artifacts import SessionArtifacts, find_folder
from agents.conversation_store import ConversationStore
from agents.leases import Leases
from agents.messages import make_question_message
from agents.reading import ConversationReader, PageRequest, QuestionAndAnswer
from agents.runs.deletions import RunDeletions
from agents.runs.outbox import Outbox, find_waiting
from agents.runs.record import RunRecord
from agents.runs.runs import Runs
from agents.runs.worker import RunWorker
from agents.threads import make_thread_id
from agents.traces import Trace, describe_trace
from agents.transcripts import ListedConversation, Transcripts
from auth.principal import Principal
from domain.transcript import make_missing_error
from domain.transcript_forks import Fork, make_taken_error
from domain.transcript_texts import NO_TEXTS
from domain.transcript_writing import FinishedTurn
from providers.files.results import ResultFiles
from utils.checkpointer.errors import StateUnreadable
from utils.errors import Conflict, NotFound, StoreUnavailable


class Conversations:
    """The state of conversations in Redis, their runs, and what SQL keeps of them.

    Args:
        runs: of all workers.
        worker: this process's, which holds something of conversations.
        deletions: lets every worker know of conversations that are deleted.
        outbox: where turns wait for the transcript.
        files: with the rows of large results.
    """

    def __init__(
        self,
        store: ConversationStore,
        *,
        leases: Leases,
        places: AnswerPlaces,
        transcripts: Transcripts,
        runs: Runs,
        worker: RunWorker,
        deletions: RunDeletions,
        outbox: Outbox,
        files: ResultFiles,
    ) -> None:
        self._store, self._reader = store, ConversationReader(store, places)
        self._leases, self._transcripts, self._files = leases, transcripts, files
        self._runs, self._worker, self._deletions, self._outbox = runs, worker, deletions, outbox

    async def read(
        self, ctx: Principal, conversation_id: str, *, limit: int, before: int | None = None, branch: str = ""
    ) -> dict[str, Any]:
        """A part of the conversation as the API shows it, see `ConversationReader.read_page`; with the question that is
        being answered now."""
        run_id, record = await self._find_running(ctx, conversation_id)
        request = PageRequest(limit=limit, before=before, branch=branch)
        if record is not None:
            question = make_question_message(record.message, record.id, created_at=record.created_at)
            request = replace(request, question=question, parent_run_id=record.parent_run_id)
        page = await self._read_page(ctx, conversation_id, request)
        unanswered = page.pop("unanswered", None)
        is_waiting = run_id is None and unanswered is not None and await self._is_waiting(ctx, unanswered)
        return {
            "id": conversation_id,
            "conversation_id": conversation_id,
            **page,
            "running": run_id is not None,
            "waiting": is_waiting,
            "run_id": unanswered if is_waiting else run_id or None,
        }

    async def answer(self, ctx: Principal, conversation_id: str, run_id: str) -> QuestionAndAnswer:
        """See `ConversationReader.answer`; also of a conversation whose state has expired."""
        try:
            return await self._reader.answer(make_thread_id(ctx, conversation_id), run_id)
        except NotFound:
            if await self._has_state(make_thread_id(ctx, conversation_id)):
                raise
        return await self._transcripts.answer(ctx, conversation_id, run_id)

    async def find_trace(self, ctx: Principal, conversation_id: str, run_id: str) -> Trace:
        """See `Transcripts.find_trace`; also of an answer that was given just now.

        Raises:
            NotFound: the conversation has no such answer, or the tenant keeps no transcript.
            StoreUnavailable: the database is away, or Redis, where turns wait for it.
        """
        try:
            return await self._transcripts.find_trace(ctx, conversation_id, run_id)
        except NotFound:
            is_known = run_id in await self._deletions.list_runs(make_thread_id(ctx, conversation_id))
            late = await self._outbox.find([run_id]) if is_known else []
        if late:
            return describe_trace({name: getattr(late[-1], name) for name in NO_TEXTS})
        return await self._transcripts.find_trace(ctx, conversation_id, run_id)  # it may have been written meanwhile

    async def find_artifacts(self, ctx: Principal, conversation_id: str) -> SessionArtifacts:
        """See `ConversationReader.artifacts`; none of a conversation whose state has expired: they go with it."""
        try:
            return await self._reader.load_artifacts(make_thread_id(ctx, conversation_id))
        except NotFound:
            await self._transcripts.require(ctx, conversation_id)
        return SessionArtifacts({})

    async def require(self, ctx: Principal, conversation_id: str) -> None:
        """See `ConversationReader.require`; also of a conversation whose state has expired."""
        try:
            await self._reader.require(make_thread_id(ctx, conversation_id))
        except NotFound:
            await self._transcripts.require(ctx, conversation_id)

    async def delete(self, ctx: Principal, conversation_id: str, *, erases: bool, wait_s: float | None = None) -> None:
        """Delete the conversation with its runs, for every worker; unless *erases*, it can be restored for a while.

        One that is being answered is waited for: *wait_s* seconds, as long as a message waits if None.

        Raises:
            NotFound: there is none of this id for the caller, nor a run of one.
            Conflict: it is being answered.
            StoreUnavailable: Redis or the database is away; something may be gone, and it can be tried again.
        """
        thread_id = make_thread_id(ctx, conversation_id)
        async with self._leases.hold(thread_id, wait_s=wait_s):
            has_state = await self._has_state(thread_id)
            waiting = await self._find_waiting(ctx, conversation_id)
            # SQL first: from now on it refuses turns that arrive late.
            was_stored = await self._transcripts.delete(
                ctx, conversation_id, waiting=waiting, erases=erases, is_known=has_state
            )
            count = await self._deletions.delete_runs(thread_id)
            # Files after the note in SQL: an upload looks for the note once it has stored its file.
            had_files = await asyncio.to_thread(self._files.delete, find_folder(thread_id))
            self._worker.drop_conversation(thread_id)
            if has_state:
                await self._store.adelete_thread(thread_id)
            elif not (was_stored or count or had_files):
                raise make_missing_error()

    async def rename(self, ctx: Principal, conversation_id: str, title: str | None) -> ListedConversation:
        """See `Transcripts.rename`; also of a conversation whose first turn has ended just now.

        Raises:
            NotFound: the caller has none of this id, or it is not kept in SQL.
            StoreUnavailable: the database is away, or Redis, where turns wait for it.
        """
        try:
            return await self._transcripts.rename(ctx, conversation_id, title)
        except NotFound:
            waiting = await self._find_waiting(ctx, conversation_id)
        return await self._transcripts.rename(ctx, conversation_id, title, waiting=waiting)

    async def restore(self, ctx: Principal, conversation_id: str) -> ListedConversation:
        """Take back that the conversation was deleted; what is listed of it.

        Raises:
            NotFound: none of this id was, or it cannot be restored any more.
            Conflict: another conversation of this id has begun since.
        """
        thread_id = make_thread_id(ctx, conversation_id)
        async with self._leases.hold(thread_id):
            if await self._has_state(thread_id):
                raise Conflict("There is a conversation of this id, which is not deleted.")
            return await self._transcripts.restore(ctx, conversation_id)

    async def fork(self, ctx: Principal, fork: Fork) -> ListedConversation:
        """Begin a conversation with what another one said up to one of its answers; see `fork_conversation`.

        Raises:
            StoreUnavailable: the database is away, or Redis, where turns wait for it.
        """
        thread_id = make_thread_id(ctx, fork.new_id)
        waiting = await self._find_waiting(ctx, fork.conversation_id)
        async with self._leases.hold(thread_id):  # nobody begins one of this id meanwhile
            if await self._has_state(thread_id):
                raise make_taken_error()
            return await self._transcripts.fork(ctx, fork, waiting=waiting)

    async def _find_waiting(self, ctx: Principal, conversation_id: str) -> list[FinishedTurn]:
        return await find_waiting(self._outbox, self._deletions, ctx, conversation_id)

    async def _find_running(self, ctx: Principal, conversation_id: str) -> tuple[str | None, RunRecord | None]:
        """The run that is going on in the conversation, None if there is none; and its record, where it is known."""
        run_id = await self._leases.find_holder(make_thread_id(ctx, conversation_id))
        record = await self._find_record(ctx, run_id) if run_id else None
        if record is not None and record.status != "running":  # it was given up, and nobody else has asked since
            return None, None
        return run_id, record

    async def _is_waiting(self, ctx: Principal, run_id: str) -> bool:
        record = await self._find_record(ctx, run_id)
        return record is not None and record.status == "waiting"

    async def _find_record(self, ctx: Principal, run_id: str) -> RunRecord | None:
        """The run; None where the caller has none of this id, or that cannot be known now."""
        with suppress(NotFound, StoreUnavailable):
            return (await self._runs.find(ctx, run_id))[0]
        return None

    async def _read_page(self, ctx: Principal, conversation_id: str, request: PageRequest) -> dict[str, Any]:
        try:
            page = await self._reader.read_page(make_thread_id(ctx, conversation_id), request)
        except NotFound:
            page = await self._transcripts.read_page(ctx, conversation_id, request)
        if request.question is not None and page["total"] == 1:  # the first one, or its state has expired
            with suppress(NotFound, StoreUnavailable):
                page = await self._transcripts.read_page(ctx, conversation_id, request)
        return page

    async def _has_state(self, thread_id: str) -> bool:
        try:
            with suppress(StateUnreadable):  # it is there, and need not be read to be deleted
                await self._reader.require(thread_id)
        except NotFound:
            return False
        return True
