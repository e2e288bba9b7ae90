"""API keys of models in SQL, which `flask state encrypt` brings along with conversations."""

from contextlib import closing

from sqlalchemy.orm import Session

from auth.principal import Principal
from bootstrap.savers import Rekeying
from cli.state_encryption import Outcomes
from cli.state_records import can_have_records, list_wanted_tenants
from config import Settings
from domain.db import open_database
from domain.model_keys import list_keys, rekey
from utils.checkpointer.errors import UnreadableValue

_Version = tuple[Principal, str, int]  # of whose model, and which


def reencrypt_model_keys(settings: Settings, outcomes: Outcomes, *, keys: Rekeying, tenant: str | None) -> None:
    """Bring the API keys of all models, or of the tenant's, under the key of *keys*; what becomes of them is added to
    *outcomes*. They are not stored decrypted: without such a key they stay as they are.

    Raises:
        StoreUnavailable: the database does not answer; what was done is done, and can be gone on with.
    """
    if not can_have_records(settings):
        return
    with closing(open_database(settings.database_address)) as database:
        database.migrate()
        with database.reading() as session:
            found = _list_versions(session, tenant)
        for ctx, model_id, version in found:
            if keys.new is None:
                outcomes.model_keys["current"] += 1
                continue
            try:
                with database.writing() as session:
                    outcomes.model_keys[rekey(session, ctx, model_id, version, old=keys.old, new=keys.new)] += 1
            except UnreadableValue as error:
                outcomes.unreadable[str(error)].append(
                    f"key of the model {ctx.tenant_id}/{model_id}, version {version}"
                )


def _list_versions(session: Session, tenant: str | None) -> list[_Version]:
    tenants = list_wanted_tenants(session, tenant)
    return [(ctx, *one) for ctx in tenants for one in list_keys(session, ctx)]
