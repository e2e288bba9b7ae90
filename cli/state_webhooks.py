"""Secrets of webhooks in SQL, which `flask state encrypt` brings along with conversations."""

from contextlib import closing

from bootstrap.savers import Rekeying
from cli.state_encryption import Outcomes
from cli.state_records import can_have_records, list_wanted_tenants
from config import Settings
from domain.db import open_database
from domain.webhooks import list_webhook_ids, rekey
from utils.checkpointer.errors import UnreadableValue


def reencrypt_webhooks(settings: Settings, outcomes: Outcomes, *, keys: Rekeying, tenant: str | None) -> None:
    """Bring the secrets of all webhooks, or the tenant's, under the key of *keys*; see `reencrypt_data_sources`.

    Raises:
        StoreUnavailable: the database does not answer; what was done is done, and can be gone on with.
    """
    if not can_have_records(settings):
        return
    with closing(open_database(settings.database_address)) as database:
        database.migrate()
        with database.reading() as session:
            tenants = list_wanted_tenants(session, tenant)
            found = [(ctx, each) for ctx in tenants for each in list_webhook_ids(session, ctx)]
        for ctx, webhook_id in found:
            if keys.new is None:
                outcomes.webhooks["current"] += 1
                continue
            try:
                with database.writing() as session:
                    outcomes.webhooks[rekey(session, ctx, webhook_id, old=keys.old, new=keys.new)] += 1
            except UnreadableValue as error:
                outcomes.unreadable[str(error)].append(f"webhook {ctx.tenant_id}/{webhook_id}")
