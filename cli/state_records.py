"""What SQL keeps beside conversations, as the `flask state` commands find it."""

from sqlalchemy.orm import Session

from agents.threads import parse_thread
from auth.operators import make_operator_for
from auth.principal import Principal
from config import RECORDS_FILE, Settings
from domain.scoping import list_tenants


def can_have_records(settings: Settings) -> bool:
    """Whether there can be a database: connecting would make it."""
    return settings.database_uri is not None or (settings.data_dir / RECORDS_FILE).exists()


def select_tenants(session: Session, tenant: str | None) -> list[Principal]:
    """The tenant of that id, or every one."""
    return [ctx for ctx in list_tenants(session) if tenant in (None, ctx.tenant_id)]


def parse_owner(thread_id: str) -> tuple[Principal, str]:
    """Whose conversation it is, to act on it, and its id."""
    thread = parse_thread(thread_id)
    return make_operator_for(thread.tenant_id, thread.owner_id), thread.conversation_id
