"""`/v1/tenant/webhooks`: addresses of a tenant that are told of events."""

from datetime import datetime
from typing import Annotated

from flask import Response, url_for
from flask_openapi3 import APIBlueprint, Tag
from pydantic import BaseModel, Field, StringConstraints

from api.access import requires
from api.dataset_schemas import Strict
from api.datasets import make_responses
from api.paging import PageOut, PageQuery, make_page_members, read_part_query
from api.responses import respond
from api.services import services
from auth.principal import Principal
from auth.scopes import Scope
from bootstrap.webhook_sender import make_webhook_reach
from domain import webhooks
from domain.models import Webhook
from domain.webhook_deliveries import MAX_WAITING, queue_test
from domain.webhooks import LONGEST_URL, WebhookEvent
from utils.errors import Conflict

_ABOUT = "Addresses of a tenant that are told of events, as https://www.standardwebhooks.com has it."
webhooks_blueprint = APIBlueprint("webhooks", __name__, abp_tags=[Tag(name="Webhooks", description=_ABOUT)])
_ALL, _ONE = "/v1/tenant/webhooks", "/v1/tenant/webhooks/<webhook_id>"


_Event = Annotated[WebhookEvent, Field(strict=False)]  # JSON has texts alone


class WebhookIn(Strict):
    """A new webhook."""

    url: Annotated[
        str,
        StringConstraints(strip_whitespace=True, min_length=1, max_length=LONGEST_URL),
        Field(description="Gets a POST for each event. On the public internet, unless the operator allows others."),
    ] = Field(examples=["https://example.org/hook"])
    events: Annotated[list[_Event], Field(min_length=1, max_length=10, description="What it is told of.")]


class WebhookPath(BaseModel):
    """Which webhook."""

    webhook_id: str


class WebhookOut(BaseModel):
    """A webhook."""

    id: str
    tenant_id: str
    url: str
    events: list[WebhookEvent]
    delivered_at: datetime | None = Field(description="When it last took an event.")
    failure: str | None = Field(description="Why it did not take the last one; null: it did, or there was none.")
    created_at: datetime


class NewWebhookOut(WebhookOut):
    """A new webhook, with what signs the messages to it."""

    secret: str = Field(description="whsec_ and base64. Not shown again.")


class WebhooksOut(PageOut):
    """A part of the webhooks, oldest first."""

    webhooks: list[WebhookOut]


class WebhookTestOut(BaseModel):
    """A test event on its way."""

    webhook_id: str
    delivery_id: str = Field(description="Its header `webhook-id`.")
    status_url: str = Field(description="Tells whether it was taken: `delivered_at` and `failure`.")


@webhooks_blueprint.post(
    _ALL, operation_id="createWebhook", summary="Add a webhook", responses=make_responses(201, NewWebhookOut, 409)
)
@requires(Scope.WEBHOOKS_WRITE)
def create(ctx: Principal, body: WebhookIn) -> Response:
    """201, with the secret that messages to it are signed with, once; 409 if there is nothing to encrypt that with."""
    url = webhooks.check_url(body.url, make_webhook_reach(services().settings))
    with services().database.open_write_session() as session:
        row, secret = webhooks.create_webhook(session, ctx, url, body.events, services().state_keys)
        view = NewWebhookOut(**_describe(row).model_dump(), secret=secret)
    return respond(view, 201, location=url_for("webhooks.show", webhook_id=view.id), is_secret=True)


@webhooks_blueprint.get(
    _ALL, operation_id="listWebhooks", summary="List the webhooks", responses=make_responses(200, WebhooksOut)
)
@requires(Scope.WEBHOOKS_READ)
def index(ctx: Principal, query: PageQuery) -> Response:
    """A part of them, oldest first."""
    part = read_part_query(query, datetime, str)
    with services().database.open_read_session() as session:
        own_webhooks = webhooks.list_webhooks(session, ctx, part)
    rows = [_describe(row) for row in own_webhooks.rows]
    return respond(WebhooksOut(webhooks=rows, **make_page_members(own_webhooks, part)))


@webhooks_blueprint.get(
    _ONE, operation_id="getWebhook", summary="Look at a webhook", responses=make_responses(200, WebhookOut, 404)
)
@requires(Scope.WEBHOOKS_READ)
def show(ctx: Principal, path: WebhookPath) -> Response:
    """The webhook, and whether it took what it was last told. 404 if the caller has none of this id."""
    with services().database.open_read_session() as session:
        view = _describe(webhooks.get_webhook(session, ctx, path.webhook_id))
    return respond(view)


@webhooks_blueprint.delete(
    _ONE, operation_id="deleteWebhook", summary="Delete a webhook", responses=make_responses(204, None, 404)
)
@requires(Scope.WEBHOOKS_WRITE)
def remove(ctx: Principal, path: WebhookPath) -> Response:
    """204; 404 if the caller has none of this id. What waits for it is not sent any more."""
    with services().database.open_write_session() as session:
        webhooks.remove_webhook(session, ctx, path.webhook_id)
    return Response(status=204)


@webhooks_blueprint.post(
    f"{_ONE}/test",
    operation_id="testWebhook",
    summary="Send a test event",
    responses=make_responses(202, WebhookTestOut, 404, 409),
)
@requires(Scope.WEBHOOKS_WRITE)
def test(ctx: Principal, path: WebhookPath) -> Response:
    """202: an event `webhook.test` is on its way, whatever the webhook's events. `failure` tells if it is not taken."""
    with services().database.open_write_session() as session:
        row = webhooks.get_webhook(session, ctx, path.webhook_id)
        delivery_id = queue_test(session, ctx, row.webhook_id)
    if delivery_id is None:
        raise Conflict(f"{MAX_WAITING:,} events wait for this webhook: delete it, or let it take them.")
    status_url = url_for("webhooks.show", webhook_id=path.webhook_id)
    return respond(WebhookTestOut(webhook_id=path.webhook_id, delivery_id=delivery_id, status_url=status_url), 202)


def _describe(row: Webhook) -> WebhookOut:
    facts = {name: getattr(row, name) for name in WebhookOut.model_fields if name != "id"}
    return WebhookOut.model_validate({"id": row.webhook_id, **facts})
