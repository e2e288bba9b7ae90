"""What is moved: the roles that are configured, each between its embedded place and its configured one."""

from collections.abc import Collection, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TypeVar

from bootstrap.models import open_embedder
from bootstrap.relocation.conversations import ConversationsMove, configured_conversations, embedded_conversations
from bootstrap.relocation.passages import PassagesMove, configured_passages, embedded_passages
from bootstrap.relocation.places import Place
from bootstrap.relocation.records import RecordsMove, configured_records, embedded_records, index_of
from bootstrap.relocation.report import CONVERSATIONS, PASSAGES, RECORDS, Direction
from config import Settings
from domain.db import Database
from utils.errors import BadInput

_VARIABLES = {PASSAGES: "QDRANT_URL", CONVERSATIONS: "REDIS_URL or REDIS_HOST", RECORDS: "DATABASE_URI"}
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Moves:
    """The move of each role that is moved, None for the others."""

    passages: PassagesMove | None
    conversations: ConversationsMove | None
    records: RecordsMove | None

    @property
    def in_order(self) -> "list[PassagesMove | ConversationsMove | RecordsMove]":
        """Those there are. Records come last and all at once.

        Until they are there nobody has a tenant or a key in the target, so that what is half moved cannot be seen.
        """
        return [move for move in (self.passages, self.conversations, self.records) if move is not None]

    @property
    def unindexed(self) -> bool:
        """Whether passages should be moved and there is no index to take them from. Known once they were looked at."""
        return self.passages is not None and self.passages.unindexed


def chosen_roles(settings: Settings, only: Collection[str]) -> list[str]:
    """The roles that are configured, or *only* some of them.

    Raises:
        BadInput: none is configured, or one that was asked for is not.
    """
    configured = {
        PASSAGES: settings.qdrant_url is not None,
        CONVERSATIONS: settings.redis_address is not None,
        RECORDS: settings.database_uri is not None,
    }
    for role in only:
        if not configured[role]:
            raise BadInput(f"Set {_VARIABLES[role]}: it names the store of the {role} outside the data folder.")
    if not any(configured.values()):
        raise BadInput(
            "No production store is configured, so there is nothing to move between: set DATABASE_URI for the records, "
            "REDIS_URL or REDIS_HOST for the conversations, QDRANT_URL for the passages, or some of them."
        )
    return [role for role, there in configured.items() if there and (not only or role in only)]


async def open_moves(stack: AsyncExitStack, settings: Settings, direction: Direction, roles: Sequence[str]) -> Moves:
    """The moves of *roles*, whose stores are closed with *stack*.

    Raises:
        BadInput: DATABASE_URI is the embedded database itself.
    """
    both = embedded_records(stack, settings), configured_records(stack, settings)
    if RECORDS in roles and both[0].name == both[1].name:
        raise BadInput(f"DATABASE_URI names {both[0].name}, which is the embedded database itself.")
    return Moves(
        await _passages(stack, settings, direction, both) if PASSAGES in roles else None,
        _conversations(stack, settings, direction) if CONVERSATIONS in roles else None,
        RecordsMove(*_ends(direction, *both)) if RECORDS in roles else None,
    )


async def _passages(
    stack: AsyncExitStack, settings: Settings, direction: Direction, records: tuple[Place[Database], Place[Database]]
) -> PassagesMove:
    """*records*: both sides of them, since they may be moved before the passages or after."""
    row = await index_of(*_ends(direction, *records))
    made_with, number = (row, row.number) if row else (await open_embedder(stack, settings), 1)
    embedded = embedded_passages(stack, settings, made_with, number)
    return PassagesMove(*_ends(direction, embedded, configured_passages(stack, settings, made_with, number)), records)


def _conversations(stack: AsyncExitStack, settings: Settings, direction: Direction) -> ConversationsMove:
    embedded, configured = embedded_conversations(stack, settings), configured_conversations(stack, settings)
    return ConversationsMove(*_ends(direction, embedded, configured), ttl_s=settings.conversation_ttl)


def _ends(direction: Direction, embedded: T, configured: T) -> tuple[T, T]:
    """Where from, and where to."""
    return (embedded, configured) if direction is Direction.PRODUCTION else (configured, embedded)
