"""What says whether whoever asked for work still may, when it is gone on with."""

from collections.abc import Awaitable, Callable

from auth.principal import Principal
from auth.scopes import Scope
from config import Settings
from domain.db import Database
from domain.in_thread import read
from domain.permissions import PermissionCheck


def make_permission_check(settings: Settings) -> PermissionCheck:
    """By these settings."""
    return PermissionCheck(has_configured_key=settings.api_key is not None)


def check_in_thread(database: Database, permissions: PermissionCheck) -> Callable[..., Awaitable[Principal]]:
    """`PermissionCheck.check` for the event loop."""

    async def check(requester: Principal, *needed: Scope) -> Principal:
        return await read(database, lambda session: permissions.check(session, requester, *needed))

    return check
