"""What is secret of a data source: its address and its schema, encrypted under the keys of the operator."""

import json
import logging
import zlib
from collections.abc import Mapping
from typing import Any

from sqlalchemy.orm import Session

from auth.principal import Principal
from domain.models import DataSourceRow, now
from domain.scoping import scoped
from utils.checkpointer.cipher import ENCRYPTED, Keyring, make_missing_key_error, read_key_name
from utils.checkpointer.errors import UnreadableValue
from utils.checkpointer.reencryption import Outcome
from utils.errors import Conflict, NotReady

logger = logging.getLogger("domain.data_sources")

_KEPT_HERE = ("sqlite", "upload")  # whose address is no secret
_NO_KEYS = (
    "The address of a server is stored encrypted only, and there is nothing to encrypt it with: the operator sets "
    "STATE_ENCRYPTION_KEYS=name:key, the key from `openssl rand -base64 32`."
)


def store_schema(row: DataSourceRow, schema: Mapping[str, Any], keys: Keyring | None) -> None:
    """Keep what was read of it.

    Raises:
        Conflict: there is nothing to encrypt it with.
    """
    packed = zlib.compress(json.dumps(schema, ensure_ascii=False).encode("utf-8", "replace"))
    row.schema_read, row.schema_read_at = encrypt_value(row, "schema", packed, keys), now()


def decrypt_schema(row: DataSourceRow, keys: Keyring | None) -> dict[str, Any] | None:
    """What was read of it, None if nothing was.

    Raises:
        NotReady: it cannot be decrypted; the log says why.
    """
    if row.schema_read is None:
        return None
    result: dict[str, Any] = json.loads(zlib.decompress(_decrypt_value(row, "schema", row.schema_read, keys)))
    return result


def decrypt_uri(row: DataSourceRow, keys: Keyring | None) -> str:
    """Its address, with the login.

    Raises:
        NotReady: it cannot be decrypted; the log says why.
    """
    return _decrypt_value(row, "uri", row.uri, keys).decode()


def rekey(session: Session, ctx: Principal, source_id: str, *, old: Keyring | None, new: Keyring) -> Outcome:
    """Write what is encrypted of a data source, which *old* reads, anew under *new*.

    Raises:
        UnreadableValue: it cannot be read; it is as it was.
    """
    statement = scoped(ctx, DataSourceRow).where(DataSourceRow.source_id == source_id)
    row = session.scalar(statement.with_for_update())
    if row is None:
        return "absent"
    if new.is_current(row.uri) and (row.schema_read is None or new.is_current(row.schema_read)):
        return "current"
    uri = _decrypt_or_raise(row, "uri", row.uri, old)
    schema = None if row.schema_read is None else _decrypt_or_raise(row, "schema", row.schema_read, old)
    row.uri = encrypt_value(row, "uri", uri, new)
    row.schema_read = None if schema is None else encrypt_value(row, "schema", schema, new)
    return "done"


def encrypt_value(row: DataSourceRow, what: str, value: bytes, keys: Keyring | None) -> bytes:
    if keys is None and row.type in _KEPT_HERE:
        return value
    if keys is None:
        raise Conflict(_NO_KEYS)
    return keys.encrypt(value, _make_context(row, what))


def _decrypt_value(row: DataSourceRow, what: str, value: bytes, keys: Keyring | None) -> bytes:
    try:
        return _decrypt_or_raise(row, what, value, keys)
    except UnreadableValue as exc:
        logger.error("The %s of the data source %s/%s cannot be read: %s.", what, row.tenant_id, row.source_id, exc)
        message = f"The data source {row.name!r} cannot be decrypted; the operator's log says why."
        raise NotReady(f"{message} Storing its address again solves this, too.") from exc


def _decrypt_or_raise(row: DataSourceRow, what: str, value: bytes, keys: Keyring | None) -> bytes:
    """Raises UnreadableValue: its key is not among *keys*, or it was changed or moved."""
    if row.type in _KEPT_HERE and not value.startswith(ENCRYPTED):
        return value
    if keys is None:
        raise make_missing_key_error(read_key_name(value))
    return keys.decrypt(value, _make_context(row, what))


def _make_context(row: DataSourceRow, what: str) -> bytes:
    """What a value is bound to: moved to another data source it does not open."""
    return f"{what} of the data source {row.tenant_id}/{row.source_id}".encode()
