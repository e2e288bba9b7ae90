"""Addresses and schemas of data sources in SQL, which `flask state encrypt` brings along with conversations."""

from contextlib import closing

from bootstrap.savers import Rekeying
from cli.state_encryption import Outcomes
from cli.state_records import can_have_records, list_wanted_tenants
from config import Settings
from domain.data_sources import list_source_ids, rekey
from domain.db import open_database
from utils.checkpointer.errors import UnreadableValue


def reencrypt_data_sources(settings: Settings, outcomes: Outcomes, *, keys: Rekeying, tenant: str | None) -> None:
    """Bring all data sources, or the tenant's, under the key of *keys*; what becomes of them is added to *outcomes*.

    They are not stored decrypted: without such a key they stay as they are.

    Raises:
        StoreUnavailable: the database does not answer; what was done is done, and can be gone on with.
    """
    if not can_have_records(settings):
        return
    with closing(open_database(settings.database_address)) as database:
        database.migrate()
        with database.reading() as session:
            tenants = list_wanted_tenants(session, tenant)
            found = [(ctx, each) for ctx in tenants for each in list_source_ids(session, ctx)]
        for ctx, source_id in found:
            if keys.new is None:
                outcomes.data_sources["current"] += 1
                continue
            try:
                with database.writing() as session:
                    outcomes.data_sources[rekey(session, ctx, source_id, old=keys.old, new=keys.new)] += 1
            except UnreadableValue as error:
                outcomes.unreadable[str(error)].append(f"data source {ctx.tenant_id}/{source_id}")
