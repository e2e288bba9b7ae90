"""`GET /v1/models` and one of them: the bots that a key may talk to."""

from collections.abc import Sequence
from typing import Literal

from flask import Response
from pydantic import BaseModel, Field

from api.access import requires
from api.description_parts import OPENAI_ERRORS
from api.openai.blueprint import openai_blueprint
from api.responses import respond
from api.services import services
from auth.principal import DEFAULT_BOT, Principal
from auth.scopes import Scope
from domain.bots import list_all_bots, make_missing_error
from domain.models import Bot


class OpenAiModelOut(BaseModel):
    """A bot."""

    id: str
    object: Literal["model"]
    created: int = Field(description="Seconds since 1970; 0 for a default bot of which nothing else is said.")
    owned_by: str = Field(description="The tenant.")
    name: str


class OpenAiModelsOut(BaseModel):
    """The bots, the default one first."""

    object: Literal["list"]
    data: list[OpenAiModelOut]


class ModelNamePath(BaseModel):
    """Which bot."""

    model_id: str = Field(description="The id of the bot.")


@openai_blueprint.get(
    "/v1/models",
    operation_id="getModelNames",
    summary="List the bots that the key may talk to",
    responses={200: OpenAiModelsOut},
    openapi_extensions={OPENAI_ERRORS: True},
)
@requires(Scope.CHAT_WRITE)
def list_models(ctx: Principal) -> Response:
    """The bots that are switched on, all at once; for a key of one bot, that bot."""
    return respond(OpenAiModelsOut(object="list", data=_list(ctx)))


@openai_blueprint.get(
    "/v1/models/<model_id>",
    operation_id="getModelName",
    summary="Read one bot",
    responses={200: OpenAiModelOut, 404: None},
    openapi_extensions={OPENAI_ERRORS: True},
)
@requires(Scope.CHAT_WRITE)
def get_model(ctx: Principal, path: ModelNamePath) -> Response:
    """One of those that `GET /v1/models` lists. 404: it is none of them."""
    for model in _list(ctx):
        if model.id == path.model_id:
            return respond(model)
    raise make_missing_error(path.model_id)


def _list(ctx: Principal) -> list[OpenAiModelOut]:
    with services().database.open_read_session() as session:
        return _describe(ctx, list_all_bots(session, ctx))


def _describe(ctx: Principal, rows: Sequence[Bot]) -> list[OpenAiModelOut]:
    default = OpenAiModelOut(id=DEFAULT_BOT, object="model", created=0, owned_by=ctx.tenant_id, name=DEFAULT_BOT)
    models = {DEFAULT_BOT: default}
    for bot in rows:
        created = int(bot.created_at.timestamp())
        models[bot.bot_id] = OpenAiModelOut(
            id=bot.bot_id, object="model", created=created, owned_by=ctx.tenant_id, name=bot.name
        )
        if not bot.is_enabled:
            del models[bot.bot_id]
    return [bot for bot_id, bot in models.items() if ctx.bot_id in (None, bot_id)]
