"""What visitors are told of what becomes of their conversations."""

from api.services import services
from auth.principal import Principal
from domain.in_thread import read
from domain.transcript import find_keep_s


async def find_keep_seconds(ctx: Principal) -> int:
    """For how many seconds after its last use a conversation of the caller's is kept: in Redis, or in SQL.

    Raises:
        StoreUnavailable: the database is away.
    """
    retention = services().transcripts.retention
    in_sql_s = await read(services().database, lambda session: find_keep_s(session, ctx, retention))
    return max(services().settings.conversation_ttl, int(in_sql_s))
