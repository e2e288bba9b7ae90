"""What webhooks are told of an event: its texts as they are when it is sent, nothing of what is gone by then."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from auth.principal import Principal
from domain.models import AnswerRating, Conversation, Document, DocumentState, Turn
from domain.rating_texts import read_texts as read_rating_texts
from domain.scoping import scoped
from domain.transcript_texts import read_texts as read_turn_texts
from domain.webhook_deliveries import TEST_EVENT, ClaimedDelivery, Subject
from domain.webhooks import WebhookEvent, decrypt_secret, get_webhook
from utils.checkpointer.cipher import Keyring
from utils.json_bytes import dump_json
from utils.moments import format_moment

Data = dict[str, Any]


@dataclass(frozen=True, slots=True)
class WebhookMessage:
    """What is sent to `url`, signed with `secret`."""

    url: str
    message_id: str
    body: bytes
    secret: bytes = field(repr=False)


def make_message(session: Session, claimed: ClaimedDelivery, keys: Keyring | None) -> WebhookMessage | None:
    """The message of a delivery; None where what it is about is gone.

    Raises:
        NotFound: the webhook is.
        NotReady, StateUnreadable: something of it cannot be decrypted.
    """
    data = _READERS[claimed.event](session, claimed.ctx, claimed.subject, keys)
    if data is None:
        return None
    webhook = get_webhook(session, claimed.ctx, claimed.webhook_id)
    message = {"type": claimed.event, "timestamp": format_moment(claimed.created_at), "data": data}
    return WebhookMessage(webhook.url, claimed.delivery_id, dump_json(message), decrypt_secret(webhook, keys))


def _read_refused(session: Session, ctx: Principal, subject: Subject, keys: Keyring | None) -> Data | None:
    owner_id, conversation_id = subject["owner_id"], subject["conversation_id"]
    of_it = Conversation.owner_id == owner_id, Conversation.conversation_id == conversation_id
    conversation = session.scalar(scoped(ctx, Conversation).where(*of_it, Conversation.deleted_at.is_(None)))
    condition = Turn.run_id == subject["run_id"], Turn.asked_at == datetime.fromisoformat(subject["asked_at"])
    turn = session.scalar(scoped(ctx, Turn).where(*condition, Turn.owner_id == owner_id))
    if conversation is None or turn is None:
        return None
    return {
        "conversation_id": conversation_id,
        "run_id": turn.run_id,
        "bot_id": subject["bot_id"],
        "question": read_turn_texts(turn, keys)["question"],
    }


def _read_rating(session: Session, ctx: Principal, subject: Subject, keys: Keyring | None) -> Data | None:
    of_it = AnswerRating.run_id == subject["run_id"], AnswerRating.rating == "down"
    rating = session.scalar(scoped(ctx, AnswerRating).where(*of_it))
    if rating is None:
        return None
    texts = read_rating_texts(rating, keys)
    return {
        "conversation_id": rating.conversation_id,
        "run_id": rating.run_id,
        "bot_id": subject["bot_id"],
        **{name: texts[name] for name in ("question", "comment", "expected")},
    }


def _read_document(session: Session, ctx: Principal, subject: Subject, keys: Keyring | None) -> Data | None:
    of_it = Document.document_id == subject["document_id"], Document.state != DocumentState.REMOVED
    document = session.scalar(scoped(ctx, Document).where(*of_it))
    if document is None:
        return None
    data = {"id": document.document_id, "dataset_id": document.dataset_id, "title": document.title}
    return {**data, "state": subject["state"]}


def _read_nothing(session: Session, ctx: Principal, subject: Subject, keys: Keyring | None) -> Data | None:
    return {}


_READERS: Mapping[str, Callable[[Session, Principal, Subject, Keyring | None], Data | None]] = {
    WebhookEvent.QUESTION_REFUSED: _read_refused,
    WebhookEvent.ANSWER_RATED_DOWN: _read_rating,
    WebhookEvent.DOCUMENT_FINISHED: _read_document,
    TEST_EVENT: _read_nothing,
}
