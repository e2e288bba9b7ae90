"""What is stored in SQL in no other way than encrypted, which `flask state encrypt` brings along with conversations."""

from collections.abc import Callable, Sequence
from contextlib import closing
from typing import Any, NamedTuple

from sqlalchemy.orm import Session

from auth.principal import Principal
from bootstrap.savers import Rekeying
from cli.state_encryption import Outcomes
from cli.state_records import can_have_records, select_tenants
from config import Settings
from domain import data_source_secrets, data_sources, model_keys, webhooks
from domain.db import Database
from domain.db_opening import open_database
from utils.checkpointer.errors import UnreadableValue
from utils.checkpointer.reencryption import Outcome


class _Kind(NamedTuple):
    """`named`: all of it; `one`: one of a tenant, by its ids, which `list_ids` gives and `rekey` takes."""

    named: str
    one: str
    list_ids: Callable[[Session, Principal], Sequence[Any]]
    rekey: Callable[..., Outcome]


_KINDS = (
    _Kind("keys of models", "key of the model {}/{}, version {}", model_keys.list_keys, model_keys.rekey),
    _Kind("data sources", "data source {}/{}", data_sources.list_source_ids, data_source_secrets.rekey),
    _Kind("secrets of webhooks", "webhook {}/{}", webhooks.list_webhook_ids, webhooks.rekey),
)


def reencrypt_secrets(settings: Settings, outcomes: Outcomes, *, keys: Rekeying, tenant: str | None) -> None:
    """Bring the secrets of all tenants, or of one, under the key of *keys*; *outcomes* then says what became of them.

    They are not stored decrypted: without such a key they stay as they are.

    Raises:
        StoreUnavailable: the database does not answer; what was done is done, and can be gone on with.
    """
    if not can_have_records(settings):
        return
    with closing(open_database(settings.database_address)) as database:
        database.migrate()
        for kind in _KINDS:
            _reencrypt(database, outcomes, kind, keys, tenant)


def _reencrypt(database: Database, outcomes: Outcomes, kind: _Kind, keys: Rekeying, tenant: str | None) -> None:
    with database.open_read_session() as session:
        tenants = select_tenants(session, tenant)
        found = [(ctx, each) for ctx in tenants for each in kind.list_ids(session, ctx)]
    for ctx, each in found:
        if keys.new is None:
            outcomes.secrets[kind.named]["current"] += 1
            continue
        ids = each if isinstance(each, tuple) else (each,)
        try:
            with database.open_write_session() as session:
                outcomes.secrets[kind.named][kind.rekey(session, ctx, *ids, old=keys.old, new=keys.new)] += 1
        except UnreadableValue as error:
            outcomes.unreadable[str(error)].append(kind.one.format(ctx.tenant_id, *ids))
