"""`/v1/tenant/models`: the language models of a tenant, by which its bots answer."""

from dataclasses import asdict, replace
from datetime import datetime
from typing import Annotated, Any

from flask import Response, url_for
from flask_openapi3 import APIBlueprint, Tag
from pydantic import AfterValidator, BaseModel, Field, SecretStr, StringConstraints, WithJsonSchema
from sqlalchemy.orm import Session

from api.access import checks_if_match, requires
from api.conditional import check_unchanged, make_etag
from api.dataset_schemas import Name, Strict
from api.datasets import make_responses
from api.description_parts import RESPONSE_HEADERS
from api.paging import PageOut, PageQuery, make_page_members, read_part_query
from api.responses import respond
from api.schemas import WHOLE, BotId
from api.services import services
from auth.principal import Principal
from auth.scopes import Scope
from bootstrap.tenant_models import check_provider, make_reach
from domain import chat_models
from domain.chat_models import BASE_URLS, LONGEST_URL, ModelParameters, ModelSpec, Provider, StoredModel
from utils.validation import API_KEY

_ABOUT = "Language models of a tenant, each at an endpoint of its own."
models_blueprint = APIBlueprint("models", __name__, abp_tags=[Tag(name="Models", description=_ABOUT)])
_ALL, _ONE = "/v1/tenant/models", "/v1/tenant/models/<model_id>"
_ETAG = {RESPONSE_HEADERS: ["ETag"]}
_PARAMETERS = {"temperature", "max_tokens", "timeout_s"}

_BaseUrl = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=LONGEST_URL),
    Field(description="Where it is; left out or null: at the provider's own address."),
]
_ApiKey = Annotated[
    SecretStr,
    Field(description="Stored encrypted, and never shown. null: none."),
    WithJsonSchema({"type": "string", "pattern": f"^{API_KEY.pattern}$", "writeOnly": True}),
]
_Temperature = Annotated[float, Field(ge=0, le=2, description="null: as the provider does.")]
_MaxTokens = Annotated[
    int,
    Field(ge=1, le=1_000_000, description="Of an answer; null: as the provider does."),
    WHOLE,
]
_TimeoutS = Annotated[float, Field(ge=1, le=600, description="Seconds to wait; null: as long as LLM_TIMEOUT says.")]


def _check_key(api_key: SecretStr | None) -> SecretStr | None:
    """Checked here: a message of pydantic's could repeat it."""
    if api_key is not None and not API_KEY.fullmatch(api_key.get_secret_value()):
        raise ValueError("Has to have 1 to 500 visible ASCII characters")
    return api_key


class ModelPatch(Strict):
    """What to change; what is left out stays."""

    provider: Provider = Field(
        default_factory=str,  # type: ignore[arg-type] # never used: null is refused
        description="`openai` is also for every endpoint that speaks its format.",
    )
    base_url: _BaseUrl | None = None
    model: Name = Field(default_factory=str, description="As the provider calls it.")  # null is none
    api_key: Annotated[_ApiKey | None, AfterValidator(_check_key)] = None
    temperature: _Temperature | None = None
    max_tokens: _MaxTokens | None = None
    timeout_s: _TimeoutS | None = None

    def merge(self, former: ModelSpec | None) -> ModelSpec:
        """The model after it.

        Raises:
            BadInput: it cannot be at that address.
        """
        sent = self.model_fields_set
        provider = self.provider if "provider" in sent or former is None else former.provider
        base_url = former.base_url if former and "base_url" not in sent and former.provider == provider else None
        if base_url is None:
            base_url = chat_models.check_base_url(self.base_url or BASE_URLS[provider], make_reach(services().settings))
        parameters = former.parameters if former else ModelParameters()
        changes: dict[str, Any] = {name: getattr(self, name) for name in _PARAMETERS & sent}
        name = self.model if "model" in sent or former is None else former.model
        return ModelSpec(provider, base_url, name, replace(parameters, **changes))

    @property
    def sent_key(self) -> str | None:
        """The key; "" where it is to go, None where it is to stay."""
        if "api_key" not in self.model_fields_set:
            return None
        return self.api_key.get_secret_value() if self.api_key else ""


class ModelIn(ModelPatch):
    """A new model."""

    id: BotId = Field(description="How bots name it; it stays.", examples=["fast"])
    provider: Provider = Field("openai", description="`openai` is also for every endpoint that speaks its format.")
    model: Name = Field(description="As the provider calls it.", examples=["gpt-4o-mini"])


class ModelPath(BaseModel):
    """Which model."""

    model_id: str


class ModelOut(BaseModel):
    """A model. null: as the provider does, and the time as LLM_TIMEOUT says."""

    id: str
    tenant_id: str
    version: int = Field(description="One more with each change.")
    provider: Provider
    base_url: str
    model: str
    has_api_key: bool
    api_key_end: str | None = Field(description="The last 4 characters of its key, of one with 16 or more.")
    temperature: float | None
    max_tokens: int | None
    timeout_s: float | None
    created_at: datetime
    updated_at: datetime


class ModelsOut(PageOut):
    """A part of the models, oldest first."""

    models: list[ModelOut]


class ModelCheckOut(BaseModel):
    """What asking it for one word came to."""

    model_id: str
    version: int
    answers: bool = Field(description="Whether it has answered.")
    duration_ms: float
    answer: str | None = Field(description="The beginning of what it said.")
    detail: str | None = Field(description="Why it has not answered, and what to do.")


@models_blueprint.post(
    _ALL,
    operation_id="createModel",
    summary="Make a model",
    responses=make_responses(201, ModelOut, 409),
    openapi_extensions=_ETAG,
)
@requires(Scope.MODELS_WRITE)
def create(ctx: Principal, body: ModelIn) -> Response:
    """201; 409 if there is one of this id, or its key cannot be encrypted. Nothing is asked of its endpoint yet."""
    spec = body.merge(None)
    check_provider(spec.provider)
    with services().database.open_write_session() as session:
        stored = chat_models.create_model(session, ctx, body.id, spec, body.sent_key or "", services().state_keys)
        view = _describe(stored)
    return respond(view, 201, etag=_compute_etag(view), location=url_for("models.show", model_id=view.id))


@models_blueprint.get(
    _ALL, operation_id="listModels", summary="List the models", responses=make_responses(200, ModelsOut)
)
@requires(Scope.MODELS_READ)
def index(ctx: Principal, query: PageQuery) -> Response:
    """A part of them, oldest first. The service's own model is not among them."""
    part = read_part_query(query, datetime, str)
    with services().database.open_read_session() as session:
        models = chat_models.list_models(session, ctx, part)
        rows = [_describe(each) for each in chat_models.list_newest(session, ctx, models.rows)]
    return respond(ModelsOut(models=rows, **make_page_members(models, part)))


@models_blueprint.get(
    _ONE,
    operation_id="getModel",
    summary="Look at a model",
    responses=make_responses(200, ModelOut, 404),
    openapi_extensions=_ETAG,
)
@requires(Scope.MODELS_READ)
def show(ctx: Principal, path: ModelPath) -> Response:
    """The model. 404 if the caller has none of this id."""
    with services().database.open_read_session() as session:
        view = _describe(chat_models.get_model(session, ctx, path.model_id))
    return respond(view, etag=_compute_etag(view))


@models_blueprint.patch(
    _ONE,
    operation_id="updateModel",
    summary="Change a model",
    responses=make_responses(200, ModelOut, 404, 409),
    openapi_extensions=_ETAG,
)
@requires(Scope.MODELS_WRITE)
@checks_if_match
def change(ctx: Principal, path: ModelPath, body: ModelPatch) -> Response:
    """The model as it is now, which holds from the next answer on; answers under way go on as they began.

    Its key is for one provider and address: with another one it has to be sent again.
    """
    with services().database.open_write_session() as session:
        former = _lock_unchanged(session, ctx, path.model_id)
        spec = body.merge(former.spec)
        check_provider(spec.provider)
        changed = chat_models.change_model(
            session, ctx, path.model_id, spec, api_key=body.sent_key, keys=services().state_keys
        )
        view = _describe(changed)
    return respond(view, etag=_compute_etag(view))


@models_blueprint.delete(
    _ONE, operation_id="deleteModel", summary="Delete a model", responses=make_responses(204, None, 404, 409)
)
@requires(Scope.MODELS_WRITE)
@checks_if_match
def remove(ctx: Principal, path: ModelPath) -> Response:
    """204; 404 if the caller has none of this id, 409 where bots answer by it. Answers under way go on with it."""
    with services().database.open_write_session() as session:
        _lock_unchanged(session, ctx, path.model_id)
        chat_models.remove_model(session, ctx, path.model_id)
    return Response(status=204)


@models_blueprint.post(
    f"{_ONE}/check",
    operation_id="checkModel",
    summary="Ask a model for one word",
    responses=make_responses(200, ModelCheckOut, 404, 503),
)
@requires(Scope.MODELS_WRITE, repeats="none")
async def check(ctx: Principal, path: ModelPath) -> Response:
    """Whether it answers, how fast, or why it does not; after 30 seconds at most. What it says may be charged for."""
    checked = await services().tenant_models.check(ctx, path.model_id)
    fields = {**asdict(checked), "answer": checked.answer or None, "detail": checked.detail or None}
    return respond(ModelCheckOut(**fields, answers=not checked.detail))


def _lock_unchanged(session: Session, ctx: Principal, model_id: str) -> StoredModel:
    """The model, which is locked, if `If-Match` lets it be changed."""
    stored = chat_models.lock_model(session, ctx, model_id)
    view = _describe(stored)
    check_unchanged(_compute_etag(view), view.model_dump())
    return stored


def _describe(stored: StoredModel) -> ModelOut:
    row, version, spec = stored.row, stored.version, stored.spec
    return ModelOut(
        id=row.model_id,
        tenant_id=row.tenant_id,
        version=version.version,
        provider=spec.provider,
        base_url=spec.base_url,
        model=spec.model,
        has_api_key=version.api_key is not None,
        api_key_end=version.api_key_end or None,
        **asdict(spec.parameters),
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def _compute_etag(view: ModelOut) -> str:
    return make_etag(view.model_dump(include={"id", "version"}))
