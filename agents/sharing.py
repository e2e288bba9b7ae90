"""Links to conversations from the event loop; a turn that has ended just now belongs to what is shared."""

from functools import partial

from sqlalchemy.orm import Session

from agents.runs.deletions import RunDeletions
from agents.runs.outbox import Outbox, find_waiting
from agents.transcripts import Transcripts
from auth.principal import Principal
from domain.conversation_shares import (
    SharedConversation,
    create_share,
    get_share,
    list_shares,
    open_share,
    revoke_share,
)
from domain.db import Database
from domain.in_thread import read, write
from domain.models import ConversationShare
from domain.paging import Part, Rows
from domain.transcript_writing import write_turns
from utils.checkpointer.cipher import Keyring


class ConversationSharing:
    """The links to conversations that the transcript keeps.

    Args:
        keys: the texts are encrypted under; None where conversations are not encrypted.
        outbox: where turns wait for the transcript.
        deletions: knows the runs of conversations.
    """

    def __init__(
        self,
        database: Database,
        transcripts: Transcripts,
        *,
        keys: Keyring | None,
        outbox: Outbox,
        deletions: RunDeletions,
    ) -> None:
        self._database, self._retention, self._keys = database, transcripts.retention, keys
        self._outbox, self._deletions = outbox, deletions

    async def create(
        self, ctx: Principal, conversation_id: str, *, keep_s: float, branch: str = ""
    ) -> tuple[ConversationShare, str]:
        """See `create_share`.

        Raises:
            StoreUnavailable: the database is away, or Redis, where turns wait for it.
        """
        waiting = await find_waiting(self._outbox, self._deletions, ctx, conversation_id)

        def work(session: Session) -> tuple[ConversationShare, str]:
            write_turns(session, waiting, retention=self._retention, keys=self._keys)
            pair = create_share(session, ctx, conversation_id, keep_s=keep_s, retention=self._retention, branch=branch)
            session.expunge(pair[0])
            return pair

        return await write(self._database, work)

    async def list_own(self, ctx: Principal, conversation_id: str, part: Part) -> Rows[ConversationShare]:
        """See `list_shares`."""
        work = partial(list_shares, ctx=ctx, conversation_id=conversation_id, part=part, retention=self._retention)
        return await read(self._database, work)

    async def find(self, ctx: Principal, conversation_id: str, share_id: str) -> ConversationShare:
        """See `get_share`."""
        work = partial(
            get_share, ctx=ctx, conversation_id=conversation_id, share_id=share_id, retention=self._retention
        )
        return await read(self._database, work)

    async def revoke(self, ctx: Principal, conversation_id: str, share_id: str) -> None:
        """See `revoke_share`."""
        work = partial(
            revoke_share, ctx=ctx, conversation_id=conversation_id, share_id=share_id, retention=self._retention
        )
        await write(self._database, work)

    async def open(self, token: str, page: int) -> SharedConversation | None:
        """See `open_share`.

        Raises:
            StoreUnavailable: the database is away.
        """
        work = partial(open_share, token=token, page=page, retention=self._retention, keys=self._keys)
        return await read(self._database, work)
