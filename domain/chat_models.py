"""A tenant's language models: made, listed, changed and removed. Each change is a version; API keys are encrypted."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from sqlalchemy import bindparam
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from auth.principal import Principal
from domain.bot_uses import name_bots
from domain.db import Database
from domain.model_keys import encrypt_key, shorten_key
from domain.models import ChatModel, ChatModelVersion, now
from domain.paging import Part, Rows, read_part
from domain.scoping import prepare, scoped, scoped_count
from utils.checkpointer.cipher import Keyring
from utils.errors import Conflict, NotFound
from utils.reach import AddressRefused, Reach, check_host, split_web_address
from utils.validation import BOT_ID, refuse_field

Provider = Literal["openai", "anthropic", "google"]
BASE_URLS: dict[Provider, str] = {
    "openai": "https://api.openai.com/v1",
    "anthropic": "https://api.anthropic.com",
    "google": "https://generativelanguage.googleapis.com",
}
"""The providers' own; `openai` is also for every other endpoint that speaks its format."""
MAX_MODELS = 200  # of a tenant
LONGEST_URL, LONGEST_NAME = 500, 200
_IS_PRESENT = ChatModel.removed_at.is_(None)
_VERSION = prepare(ChatModel, ChatModel.version).where(ChatModel.model_id == bindparam("model_id"), _IS_PRESENT)


@dataclass(frozen=True, slots=True)
class ModelParameters:
    """What is asked of a model; None leaves it to the provider, and the time to LLM_TIMEOUT."""

    temperature: float | None = None
    max_tokens: int | None = None
    timeout_s: float | None = None


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """How a model is reached, but for its API key. `model` is what the provider calls it."""

    provider: Provider
    base_url: str
    model: str
    parameters: ModelParameters = ModelParameters()


@dataclass(frozen=True, slots=True)
class StoredModel:
    """A model in one of its versions."""

    row: ChatModel
    version: ChatModelVersion

    @property
    def spec(self) -> ModelSpec:
        """How it is reached."""
        result = self.version
        provider: Provider = result.provider  # type: ignore[assignment] # only this module writes it
        return ModelSpec(provider, result.base_url, result.model, ModelParameters(**result.parameters))


def create_model(
    session: Session, ctx: Principal, model_id: str, spec: ModelSpec, api_key: str, keys: Keyring | None
) -> StoredModel:
    """Add a model to the caller's tenant; flushed, not committed. *api_key* "" is none; *keys* encrypt it.

    Raises:
        BadInput: *model_id* is no id of a model.
        Conflict: there is one of this id, or as many as a tenant may have, or nothing to encrypt the key with.
    """
    if not BOT_ID.fullmatch(model_id):
        raise refuse_field("The id of a model is 1 to 40 of a-z, 0-9, - and _, beginning with a letter or digit.", "id")
    if (session.scalar(scoped_count(ctx, ChatModel).where(_IS_PRESENT)) or 0) >= MAX_MODELS:
        raise Conflict(f"There are {MAX_MODELS} models already: delete one first.")
    row = session.scalar(scoped(ctx, ChatModel).where(ChatModel.model_id == model_id).with_for_update())
    if row is None:
        row = ChatModel(tenant_id=ctx.tenant_id, model_id=model_id, version=0)
    elif row.removed_at is None:
        raise _make_taken_error(model_id)
    row.created_at, row.removed_at = now(), None
    try:
        with session.begin_nested():
            session.add(row)
    except IntegrityError as exc:  # another request was first
        raise _make_taken_error(model_id) from exc
    sealed = encrypt_key(row, spec.provider, spec.base_url, api_key, keys)
    return _add_version(session, row, spec, sealed, shorten_key(api_key))


def list_models(session: Session, ctx: Principal, part: Part) -> Rows[ChatModel]:
    """A part of the tenant's models, oldest first."""
    total = session.scalar(scoped_count(ctx, ChatModel).where(_IS_PRESENT)) or 0
    keys = (ChatModel.created_at, ChatModel.model_id)
    return read_part(session, scoped(ctx, ChatModel).where(_IS_PRESENT), keys, part, total=total)


def list_newest(session: Session, ctx: Principal, rows: Sequence[ChatModel]) -> list[StoredModel]:
    """These models as they are now, in the same order."""
    newest = scoped(ctx, ChatModelVersion).join(ChatModel).where(ChatModelVersion.version == ChatModel.version)
    statement = newest.where(ChatModel.model_id.in_([row.model_id for row in rows]))
    found = {version.model_id: version for version in session.scalars(statement)}
    return [StoredModel(row, found[row.model_id]) for row in rows]


def get_model(session: Session, ctx: Principal, model_id: str, version: int | None = None) -> StoredModel:
    """One model, as it is; or as it was in *version*, also where it was removed since.

    Raises:
        NotFound: the tenant has none of this id, or it had no such version.
    """
    row = session.scalar(scoped(ctx, ChatModel).where(ChatModel.model_id == model_id))
    if row is None or (row.removed_at is not None and version is None):
        raise make_missing_error(model_id)
    of_it = scoped(ctx, ChatModelVersion).where(ChatModelVersion.model_id == model_id)
    model = session.scalar(of_it.where(ChatModelVersion.version == (version or row.version)))
    if model is None:
        raise make_missing_error(model_id)
    return StoredModel(row, model)


def find_version(database: Database, ctx: Principal, model_id: str) -> int | None:
    """The version that the model has now; None where the tenant has none of this id."""
    version = database.find(ctx, _VERSION, model_id=model_id)
    return version[0] if version else None


def lock_model(session: Session, ctx: Principal, model_id: str) -> StoredModel:
    """The model, kept as it is by others until the commit.

    Raises:
        NotFound: the tenant has none of this id.
    """
    session.scalar(scoped(ctx, ChatModel).where(ChatModel.model_id == model_id).with_for_update())
    return get_model(session, ctx, model_id)


def change_model(
    session: Session,
    ctx: Principal,
    model_id: str,
    spec: ModelSpec,
    *,
    api_key: str | None = None,
    keys: Keyring | None,
) -> StoredModel:
    """Make the model so, as a new version where it differs; flushed, not committed. *api_key* None stays, "" goes.

    Raises:
        NotFound: the tenant has none of this id.
        BadInput: the key is to stay, but for another address: whoever may not know it could have it sent to himself.
        Conflict: there is nothing to encrypt the key with.
    """
    stored = lock_model(session, ctx, model_id)
    row, former = stored.row, stored.version
    stays = api_key is None and former.api_key is not None
    if stays and (spec.provider, spec.base_url) != (former.provider, former.base_url):
        detail = "The stored API key is for the former provider and base_url: send api_key with the change, or null."
        raise refuse_field(detail, "api_key")
    if spec == stored.spec and (api_key is None or (not api_key and former.api_key is None)):
        return stored
    if stays:
        return _add_version(session, row, spec, former.api_key, former.api_key_end)
    new_key = api_key or ""
    sealed = encrypt_key(row, spec.provider, spec.base_url, new_key, keys)
    return _add_version(session, row, spec, sealed, shorten_key(new_key))


def remove_model(session: Session, ctx: Principal, model_id: str) -> None:
    """Take the model away; answers under way go on with it.

    Raises:
        NotFound: the tenant has none of this id.
        Conflict: bots answer by it.
    """
    row = lock_model(session, ctx, model_id).row
    if named := name_bots(session, ctx, "model_id", model_id):
        raise Conflict(f"Bots answer by this model ({named}): give them another one first.")
    row.removed_at = now()
    session.flush()


def check_base_url(base_url: str, reach: Reach) -> str:
    """*base_url* if a model can be there; what its name leads to is looked at with each connection.

    Raises:
        BadInput: it is no address, holds a login, or is a private one.
    """
    parts = split_web_address(base_url, LONGEST_URL)
    if parts is None:
        raise refuse_field("Has to be an address such as https://api.example.org/v1.", "base_url")
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise refuse_field("Has to be without a login, a query and a fragment.", "base_url")
    try:
        check_host(str(parts.hostname), reach)
    except AddressRefused:
        detail = "Leads to an address that is not on the public internet; the operator can allow it in MODEL_NETWORKS."
        raise refuse_field(detail, "base_url") from None
    return base_url.rstrip("/")


def make_missing_error(model_id: str) -> NotFound:
    """That the tenant has no such model."""
    return NotFound(f"Model {model_id!r} not found.")


def _make_taken_error(model_id: str) -> Conflict:
    return Conflict(f"There is a model {model_id!r} already.")


def _add_version(
    session: Session, row: ChatModel, spec: ModelSpec, sealed: bytes | None, api_key_end: str
) -> StoredModel:
    row.version, row.updated_at = row.version + 1, now()
    parameters: dict[str, Any] = {name: value for name, value in asdict(spec.parameters).items() if value is not None}
    version = ChatModelVersion(
        tenant_id=row.tenant_id,
        model_id=row.model_id,
        version=row.version,
        provider=spec.provider,
        base_url=spec.base_url,
        model=spec.model,
        parameters=parameters,
        api_key=sealed,
        api_key_end=api_key_end,
    )
    session.add(version)
    session.flush()
    return StoredModel(row, version)
