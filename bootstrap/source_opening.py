"""Where databases of tenants may be, what is stored of one, and how it is opened."""

from collections.abc import Callable
from ipaddress import ip_network
from typing import cast

from agents.data_sources import AskingLimits, DataSources
from auth.principal import Principal
from config import Settings
from datasources.addresses import AddressInvalid, SourcePlaces, parse_address
from datasources.source import DataSource
from datasources.sqlite import SqliteSource
from domain.data_source_secrets import decrypt_uri
from domain.data_sources import UPLOAD, SourceSpec, SourceType
from domain.db import Database
from domain.models import DataSourceRow
from ingestion.uploaded_files import find_uploaded_file
from utils.checkpointer.cipher import Keyring
from utils.errors import SourceFailed
from utils.observers import StoreObservers
from utils.ports import Embedder, StoreObserver
from utils.reach import Reach
from utils.validation import refuse_field

_REPLACED = "The files of this data source were replaced or deleted. Ask again."


def make_spec(settings: Settings, ctx: Principal, uri: str, type_: SourceType | None) -> SourceSpec:
    """What is stored of a data source at *uri*; nothing is connected to.

    Raises:
        BadInput: there can be none of the tenant's there, or it is of another type.
    """
    try:
        spec, location, _ = parse_address(uri, make_places(settings, ctx.tenant_id))
    except AddressInvalid as exc:
        raise refuse_field(str(exc), "uri") from None
    if type_ is not None and spec != type_:
        raise refuse_field(f"The address is of the type {spec!r}.", "type")
    return SourceSpec(cast(SourceType, spec), uri, location)


def make_places(settings: Settings, tenant_id: str) -> SourcePlaces:
    """Where databases of a tenant may be: public addresses, DATA_SOURCE_NETWORKS, its folder for SQLite files."""
    folder = settings.data_source_folder / tenant_id if settings.data_source_folder else None
    return SourcePlaces(Reach(tuple(map(ip_network, settings.data_source_networks)), ports=None), folder)


def open_source(settings: Settings, row: DataSourceRow, keys: Keyring | None) -> DataSource:
    """The database of *row*, which is not connected to yet.

    Raises:
        NotReady: its address cannot be decrypted.
        SourceFailed: the operator does not allow its address any more.
    """
    if row.type == UPLOAD:
        return SqliteSource(find_uploaded_file(settings.uploaded_tables_folder, row, keys), missing=_REPLACED)
    try:
        return parse_address(decrypt_uri(row, keys), make_places(settings, row.tenant_id))[2]
    except AddressInvalid as exc:
        raise SourceFailed(str(exc)) from None


def open_data_sources(
    settings: Settings,
    database: Database,
    keys: Keyring | None,
    embedder: Callable[[], Embedder] | None = None,
    *,
    stores: StoreObserver | None = None,
) -> DataSources:
    """What asks the data sources of all tenants; the caller closes it."""
    return DataSources(
        database,
        keys,
        lambda row: open_source(settings, row, keys),
        embedder,
        stores=stores or StoreObservers(),
        limits=AskingLimits(settings.max_sql_retries, settings.head_rows),
    )
