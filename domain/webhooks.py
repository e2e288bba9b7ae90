"""Webhooks of a tenant: made, listed and removed, with the secrets that sign what they are sent.

Signatures follow https://www.standardwebhooks.com: a secret is shown once, and stored encrypted alone.
"""

import base64
import logging
import secrets
from enum import StrEnum
from uuid import uuid4

from sqlalchemy.orm import Session

from auth.principal import Principal
from domain.models import Webhook
from domain.paging import Part, Rows, read_part
from domain.quotas import lock_usage
from domain.scoping import scoped, scoped_count
from utils.checkpointer.cipher import Keyring, make_missing_key_error, read_key_name
from utils.checkpointer.errors import UnreadableValue
from utils.checkpointer.reencryption import Outcome
from utils.errors import Conflict, NotFound, NotReady
from utils.reach import AddressRefused, Reach, check_host, split_web_address
from utils.validation import refuse_field

logger = logging.getLogger(__name__)

MAX_WEBHOOKS = 20  # of a tenant
LONGEST_URL = 500
PREFIX = "whsec_"
_SECRET_BYTES = 32
_FORM = "Has to be an address such as https://example.org/hook, without a login and a fragment."
_NO_KEYS = (
    "The secret of a webhook is stored encrypted only, and there is nothing to encrypt it with: the operator sets "
    "STATE_ENCRYPTION_KEYS=name:key, the key from `openssl rand -base64 32`."
)


class WebhookEvent(StrEnum):
    """What a webhook can be told of."""

    QUESTION_REFUSED = "question.refused"  # the documents do not hold the answer
    ANSWER_RATED_DOWN = "answer.rated_down"
    DOCUMENT_FINISHED = "document.finished"  # its file was read and indexed, or cannot be


def create_webhook(
    session: Session, ctx: Principal, url: str, events: list[WebhookEvent], keys: Keyring | None
) -> tuple[Webhook, str]:
    """Add a webhook to the caller's tenant, flushed, not committed; with its secret, which is not shown again.

    Raises:
        Conflict: there are as many as a tenant may have, or nothing to encrypt the secret with.
    """
    if keys is None:
        raise Conflict(_NO_KEYS)
    lock_usage(session, ctx)  # of many at once each sees the others
    if (session.scalar(scoped_count(ctx, Webhook)) or 0) >= MAX_WEBHOOKS:
        raise Conflict(f"There are {MAX_WEBHOOKS} webhooks already: delete one first.")
    secret = secrets.token_bytes(_SECRET_BYTES)
    row = Webhook(tenant_id=ctx.tenant_id, webhook_id=str(uuid4()), url=url, events=sorted(set(events)))
    row.secret = keys.encrypt(secret, _name(row))
    session.add(row)
    session.flush()
    return row, PREFIX + base64.b64encode(secret).decode()


def list_webhooks(session: Session, ctx: Principal, part: Part) -> Rows[Webhook]:
    """A part of the tenant's webhooks, oldest first."""
    total = session.scalar(scoped_count(ctx, Webhook)) or 0
    return read_part(session, scoped(ctx, Webhook), (Webhook.created_at, Webhook.webhook_id), part, total=total)


def get_webhook(session: Session, ctx: Principal, webhook_id: str) -> Webhook:
    """One webhook.

    Raises:
        NotFound: the tenant has none of this id.
    """
    row = session.scalar(scoped(ctx, Webhook).where(Webhook.webhook_id == webhook_id))
    if row is None:
        raise NotFound(f"Webhook {webhook_id!r} not found.")
    return row


def remove_webhook(session: Session, ctx: Principal, webhook_id: str) -> None:
    """Forget a webhook, and what it would have been told.

    Raises:
        NotFound: the tenant has none of this id.
    """
    session.delete(get_webhook(session, ctx, webhook_id))
    session.flush()


def decrypt_secret(row: Webhook, keys: Keyring | None) -> bytes:
    """What signs the messages to it.

    Raises:
        NotReady: it cannot be decrypted; the log says why.
    """
    try:
        return _open(row, keys)
    except UnreadableValue as exc:
        logger.error("The secret of the webhook %s/%s cannot be read: %s.", row.tenant_id, row.webhook_id, exc)
        raise NotReady("Its secret cannot be decrypted; the operator's log says why.") from exc


def list_webhook_ids(session: Session, ctx: Principal) -> list[str]:
    """The ids of the tenant's webhooks."""
    return list(session.scalars(scoped(ctx, Webhook).with_only_columns(Webhook.webhook_id)))


def rekey(session: Session, ctx: Principal, webhook_id: str, *, old: Keyring | None, new: Keyring) -> Outcome:
    """Write the secret of a webhook, which *old* reads, anew under *new*.

    Raises:
        UnreadableValue: it cannot be read; it is as it was.
    """
    row = session.scalar(scoped(ctx, Webhook).where(Webhook.webhook_id == webhook_id).with_for_update())
    if row is None:
        return "absent"
    if new.is_current(row.secret):
        return "current"
    row.secret = new.encrypt(_open(row, old), _name(row))
    return "done"


def check_url(url: str, reach: Reach) -> str:
    """*url* if events can be sent there; what its name leads to is looked at with each connection.

    Raises:
        BadInput: it is no address, holds a login, or is a private one.
    """
    parts = split_web_address(url, LONGEST_URL)
    if parts is None or "@" in parts.netloc or parts.fragment:
        raise refuse_field(_FORM, "url")
    try:
        check_host(str(parts.hostname), reach)
    except AddressRefused:
        detail = "Leads to an address that is not on the public internet"
        raise refuse_field(f"{detail}; the operator can allow it in WEBHOOK_NETWORKS.", "url") from None
    return url


def _open(row: Webhook, keys: Keyring | None) -> bytes:
    """Raises UnreadableValue: its key is not among *keys*, or it was changed or moved."""
    if keys is None:
        raise make_missing_key_error(read_key_name(row.secret))
    return keys.decrypt(row.secret, _name(row))


def _name(row: Webhook) -> bytes:
    """What a secret is bound to: moved to another webhook it does not open."""
    return f"secret of the webhook {row.tenant_id}/{row.webhook_id}".encode()
