"""API keys of tenants' models: stored encrypted alone, shown to nobody, and bound to the address that they are for."""

import logging
import re
import string

from sqlalchemy.orm import Session

from auth.principal import Principal
from domain.models import ChatModel, ChatModelVersion
from domain.scoping import scoped
from utils.checkpointer.cipher import Keyring, make_missing_key_error, read_key_name
from utils.checkpointer.errors import UnreadableValue
from utils.checkpointer.reencryption import Outcome
from utils.errors import Conflict, NotReady

logger = logging.getLogger(__name__)

_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)  # keeps every letter's place
_BEARER = re.compile(r"\bbearer\s+…", re.IGNORECASE)
_SHOWN, _MIN_KEY = 4, 16  # of a shorter key its end would tell too much
_NO_KEYS = (
    "An API key is stored encrypted only, and there is nothing to encrypt it with: the operator sets "
    "STATE_ENCRYPTION_KEYS=name:key, the key from `openssl rand -base64 32`."
)


def encrypt_key(row: ChatModel, provider: str, base_url: str, api_key: str, keys: Keyring | None) -> bytes | None:
    """The key of a model as it is stored; None for "".

    Raises:
        Conflict: there is nothing to encrypt it with.
    """
    if not api_key:
        return None
    if keys is None:
        raise Conflict(_NO_KEYS)
    return keys.encrypt(api_key.encode(), _name(row, provider, base_url))


def shorten_key(api_key: str) -> str:
    """What of a key people may see to tell it by."""
    return api_key[-_SHOWN:] if len(api_key) >= _MIN_KEY else ""


def hide_key(text: str, api_key: str) -> str:
    """*text* with "…" in place of the key, in whatever case: an endpoint may repeat what it was sent."""
    if not api_key:
        return text
    lowered, key = text.translate(_LOWER), api_key.translate(_LOWER)
    parts, start = [], 0
    while (place := lowered.find(key, start)) >= 0:
        parts.append(text[start:place])
        start = place + len(key)
    return _BEARER.sub("…", "…".join([*parts, text[start:]]))


def decrypt_key(version: ChatModelVersion, keys: Keyring | None) -> str:
    """The API key, "" if there is none.

    Raises:
        NotReady: it cannot be read; the log says why.
    """
    try:
        return _open_key(version, keys)
    except UnreadableValue as exc:
        named = f"{version.tenant_id}/{version.model_id}"
        logger.error("The API key of the model %s, version %s, cannot be read: %s.", named, version.version, exc)
        detail = f"The API key of the model {version.model_id!r} cannot be read; the operator's log says why."
        raise NotReady(f"{detail} Storing the key again solves this, too.") from exc


def list_keys(session: Session, ctx: Principal) -> list[tuple[str, int]]:
    """The models and versions of the tenant that have an API key."""
    having = scoped(ctx, ChatModelVersion).where(ChatModelVersion.api_key.is_not(None))
    columns = having.with_only_columns(ChatModelVersion.model_id, ChatModelVersion.version)
    return [(model_id, version) for model_id, version in session.execute(columns)]


def rekey(
    session: Session, ctx: Principal, model_id: str, version: int, *, old: Keyring | None, new: Keyring
) -> Outcome:
    """Write the API key of a version, which *old* reads, anew under *new*.

    Raises:
        UnreadableValue: it cannot be read; it is as it was.
    """
    of_it = scoped(ctx, ChatModelVersion).where(ChatModelVersion.model_id == model_id)
    found = session.scalar(of_it.where(ChatModelVersion.version == version).with_for_update())
    if found is None or found.api_key is None:
        return "absent"
    if new.is_current(found.api_key):
        return "current"
    found.api_key = new.encrypt(_open_key(found, old).encode(), _name(found, found.provider, found.base_url))
    return "done"


def _open_key(version: ChatModelVersion, keys: Keyring | None) -> str:
    """The API key, "" if there is none.

    Raises:
        UnreadableValue: its key is not among *keys*, or it was changed or moved.
    """
    if version.api_key is None:
        return ""
    if keys is None:
        raise make_missing_key_error(read_key_name(version.api_key))
    return keys.decrypt(version.api_key, _name(version, version.provider, version.base_url)).decode()


def _name(row: ChatModel | ChatModelVersion, provider: str, base_url: str) -> bytes:
    """What a key is bound to: moved to another model, or to another address, it does not open."""
    return f"key of the model {row.tenant_id}/{row.model_id} for {provider} {base_url}".encode()
