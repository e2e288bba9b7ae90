"""Which bots use what is to be removed."""

from sqlalchemy.orm import Session

from auth.principal import Principal
from domain.models import Bot, BotVersion
from domain.scoping import scoped

_MAX_NAMED = 5


def name_bots(session: Session, ctx: Principal, field: str, used_id: str) -> str:
    """The tenant's bots whose *field* is *used_id*, or a list with it: "rooms, fees and 3 more"; "" where none is."""
    newest = scoped(ctx, Bot).join(BotVersion).where(BotVersion.version == Bot.version, Bot.removed_at.is_(None))
    rows = session.execute(newest.with_only_columns(Bot.bot_id, BotVersion.config[field]).order_by(Bot.bot_id))
    bots = [bot_id for bot_id, value in rows if value == used_id or (isinstance(value, list) and used_id in value)]
    return ", ".join(bots[:_MAX_NAMED]) + (f" and {len(bots) - _MAX_NAMED} more" if bots[_MAX_NAMED:] else "")
