"""Events on their way to webhooks: queued in the transaction that makes them true, sent after it.

No `Job`: a document has one job, its newest, while events are many, each is tried for a day, and none is shown.
"""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import uuid4

from sqlalchemy import func
from sqlalchemy.orm import Session

from auth.background import make_system
from auth.principal import Principal
from domain.db import Database
from domain.job_leases import read_moment
from domain.models import Webhook, WebhookDelivery
from domain.scoping import scoped, scoped_count, scoped_update, select_everywhere
from domain.webhooks import WebhookEvent

logger = logging.getLogger(__name__)

TEST_EVENT = "webhook.test"
MAX_WAITING = 1_000  # of a webhook; more are dropped
SENDING_S = 60.0  # after which whoever sends it is taken for dead; more than a request may take
PAUSES_S = (2, 30, 300, 1_800, 7_200, 21_600, 43_200)  # after each failure but the last; about 21 hours in all
_OTHERS_WAIT_S = 10  # what else a webhook is to be told, after a failure
_MAX_DUE = 500
_ANY = select_everywhere(WebhookDelivery).with_only_columns(WebhookDelivery.delivery_id).limit(1)

Subject = dict[str, Any]


@dataclass(frozen=True, slots=True)
class ClaimedDelivery:
    """A delivery that is ours to send for `SENDING_S`, unless it is claimed again: `attempts` tells."""

    ctx: Principal
    webhook_id: str
    delivery_id: str
    event: str
    subject: Subject
    attempts: int
    created_at: datetime


def queue_event(session: Session, ctx: Principal, event: WebhookEvent, subjects: Sequence[Subject]) -> None:
    """Have the tenant's webhooks for *event* told of each of *subjects*, once this is committed."""
    if not subjects:
        return
    # Locked, so that none is removed before the reference to it is committed: that would undo what the event is about.
    webhooks = scoped(ctx, Webhook).order_by(Webhook.webhook_id).with_for_update(read=True, key_share=True)
    for webhook in session.scalars(webhooks).all():
        if event in webhook.events:
            _queue(session, ctx, webhook.webhook_id, event, subjects)


def queue_finished(
    session: Session, ctx: Principal, document_ids: Iterable[str | None], state: Literal["ready", "failed"]
) -> None:
    """Have webhooks told that the newest files of these documents are in the index, or cannot be read."""
    subjects = [{"document_id": document_id, "state": state} for document_id in document_ids]
    queue_event(session, ctx, WebhookEvent.DOCUMENT_FINISHED, subjects)


def queue_test(session: Session, ctx: Principal, webhook_id: str) -> str | None:
    """Have a webhook of the tenant told of nothing but that it is there; the delivery's id, None if too many wait."""
    return next(iter(_queue(session, ctx, webhook_id, TEST_EVENT, [{}])), None)


def is_any_waiting(database: Database) -> bool:
    """Whether any webhook has something to be told, now or later: asked all the time, nearly always in vain."""
    return bool(database.list_everywhere(_ANY))


def list_due(session: Session) -> list[tuple[str, str]]:
    """Tenants and webhooks that have something to be told now, that first which waits longest."""
    statement = select_everywhere(WebhookDelivery).where(WebhookDelivery.not_before <= read_moment(session))
    webhook = WebhookDelivery.tenant_id, WebhookDelivery.webhook_id
    grouped = statement.with_only_columns(*webhook).group_by(*webhook).order_by(func.min(WebhookDelivery.not_before))
    return [(tenant_id, webhook_id) for tenant_id, webhook_id in session.execute(grouped.limit(_MAX_DUE))]


def claim(session: Session, tenant_id: str, webhook_id: str) -> ClaimedDelivery | None:
    """What the webhook is to be told next, None if nothing is due; it is ours once this is committed."""
    ctx, at = make_system(tenant_id), read_moment(session)
    statement = scoped(ctx, WebhookDelivery).where(
        WebhookDelivery.webhook_id == webhook_id, WebhookDelivery.not_before <= at
    )
    first = statement.order_by(WebhookDelivery.not_before, WebhookDelivery.delivery_id).limit(1)
    row = session.scalar(first.with_for_update(skip_locked=True))
    if row is None:
        return None
    row.attempts, row.not_before = row.attempts + 1, at + timedelta(seconds=SENDING_S)
    session.flush()
    return ClaimedDelivery(ctx, webhook_id, row.delivery_id, row.event, dict(row.subject), row.attempts, row.created_at)


def settle(session: Session, claimed: ClaimedDelivery, *, failure: str | None) -> None:
    """The webhook was told, or not because of *failure*: then it is tried again, later each time, up to a limit."""
    ctx = claimed.ctx
    webhook = session.scalar(scoped(ctx, Webhook).where(Webhook.webhook_id == claimed.webhook_id).with_for_update())
    row = _lock_claimed(session, claimed)
    if webhook is None or row is None:
        return  # removed, or somebody else's by now
    at, webhook.failure = read_moment(session), failure
    if failure is None:
        webhook.delivered_at = at
        session.delete(row)
        return
    statement = scoped_update(ctx, WebhookDelivery).where(WebhookDelivery.webhook_id == claimed.webhook_id)
    others_at = at + timedelta(seconds=_OTHERS_WAIT_S)
    session.execute(statement.where(WebhookDelivery.not_before <= at).values(not_before=others_at))
    if claimed.attempts <= len(PAUSES_S):
        row.not_before = at + timedelta(seconds=PAUSES_S[claimed.attempts - 1])
    else:
        logger.warning("The event %s is given up after %s attempts: %s", claimed.delivery_id, claimed.attempts, failure)
        session.delete(row)


def forget(session: Session, claimed: ClaimedDelivery) -> None:
    """Let it not be told at all: what it was about is gone."""
    if row := _lock_claimed(session, claimed):
        session.delete(row)


def _lock_claimed(session: Session, claimed: ClaimedDelivery) -> WebhookDelivery | None:
    """Its row, locked; None where it is not ours any more."""
    this = scoped(claimed.ctx, WebhookDelivery).where(WebhookDelivery.delivery_id == claimed.delivery_id)
    return session.scalar(this.where(WebhookDelivery.attempts == claimed.attempts).with_for_update())


def _queue(session: Session, ctx: Principal, webhook_id: str, event: str, subjects: Sequence[Subject]) -> list[str]:
    """The ids of the deliveries; those for which there is room."""
    waiting = scoped_count(ctx, WebhookDelivery).where(WebhookDelivery.webhook_id == webhook_id)
    room = max(0, MAX_WAITING - (session.scalar(waiting) or 0))
    if len(subjects) > room:
        dropped = len(subjects) - room
        logger.warning("%s events %s are dropped: %s wait for their webhook.", dropped, event, MAX_WAITING)
    rows = [
        WebhookDelivery(
            tenant_id=ctx.tenant_id,
            delivery_id=f"msg_{uuid4().hex}",
            webhook_id=webhook_id,
            event=event,
            subject=subject,
        )
        for subject in subjects[:room]
    ]
    session.add_all(rows)
    session.flush()
    return [row.delivery_id for row in rows]
