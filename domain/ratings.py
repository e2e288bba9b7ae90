"""What a tenant's people thought of answers: noted, changed, taken back, and listed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any, Literal

from sqlalchemy import ColumnElement
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from auth.principal import DEFAULT_BOT, Principal
from domain.documents import split_into_batches
from domain.models import AnswerRating, now
from domain.paging import Part, Rows, read_part
from domain.rating_texts import NO_TEXTS, decrypt_texts, is_current, read_texts, write_texts
from domain.scoping import delete_everywhere, scoped, scoped_count, scoped_delete
from domain.webhook_deliveries import queue_event
from domain.webhooks import WebhookEvent
from utils.checkpointer.cipher import Keyring
from utils.checkpointer.reencryption import Outcome
from utils.errors import Conflict, NotFound

_CLOCKS_DIFFER = timedelta(hours=1)  # at most, of two hosts; a key is not used again for much longer
MAX_RATINGS = 20_000  # of a tenant, as many as a set of questions may have
Verdict = Literal["up", "down"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rating:
    """A verdict about the answer that a run gave to a question; see `AnswerRating` for the parts.

    `comment` and `expected` are None where they are to stay as they are.
    """

    run_id: str
    conversation_id: str
    rating: Verdict
    question: str
    answer: str
    answered: bool
    stands_alone: bool
    sources: Sequence[str] = ()
    comment: str | None = None
    expected: str | None = None


def rate(session: Session, ctx: Principal, rating: Rating, *, keys: Keyring | None) -> AnswerRating:
    """Note it, in place of what was said of that answer before; flushed, not committed. Gives it readable.

    *keys* encrypt its words, where conversations are encrypted.

    Raises:
        Conflict: the tenant has as many as it may.
        RatingUnreadable: words of before are to stay, and their key is missing.
    """
    row = _lock_rating(session, ctx, rating.run_id) or _add(session, ctx, rating)
    texts = _list_texts(rating) | _keep_texts(row, rating, keys)
    for name, value in _list_facts(rating).items():
        setattr(row, name, value)
    write_texts(row, texts, keys)
    row.rated_at = now()
    session.flush()
    if rating.rating == "down":
        rated = {"run_id": rating.run_id, "bot_id": ctx.bot_id or DEFAULT_BOT}
        queue_event(session, ctx, WebhookEvent.ANSWER_RATED_DOWN, [rated])
    return decrypt_texts(row, keys)


def rekey(session: Session, ctx: Principal, run_id: str, *, old: Keyring | None, new: Keyring | None) -> Outcome:
    """Write the words of a rating, which *old* reads, anew under *new*; without it, as they are.

    Raises:
        RatingUnreadable: its key is missing, or what is stored was changed or moved; it is as it was.
    """
    row = _lock_rating(session, ctx, run_id)
    if row is None:
        return "absent"
    if is_current(row, new):
        return "current"
    write_texts(row, read_texts(row, old), new)
    return "done"


def delete_rating(session: Session, ctx: Principal, conversation_id: str, run_id: str) -> None:
    """Delete the rating of an answer.

    Raises:
        NotFound: nothing was.
    """
    here = AnswerRating.run_id == run_id, *_select_answer(ctx, conversation_id)
    if not session.execute(scoped_delete(ctx, AnswerRating).where(*here)).rowcount:  # type: ignore[attr-defined] # a DELETE gives a CursorResult
        raise NotFound("This answer has no rating.")


def delete_ratings(session: Session, ctx: Principal, conversation_id: str) -> int:
    """Delete the ratings of all answers of a conversation; how many there were."""
    here = _select_answer(ctx, conversation_id)
    return int(session.execute(scoped_delete(ctx, AnswerRating).where(*here)).rowcount)  # type: ignore[attr-defined] # as above


def delete_ratings_of_runs(session: Session, ctx: Principal, run_ids: Sequence[str]) -> None:
    """Delete the ratings of the answers of these runs."""
    for ids in split_into_batches(run_ids):
        session.execute(scoped_delete(ctx, AnswerRating).where(AnswerRating.run_id.in_(ids)))


def delete_older(session: Session, keep_days: float) -> int:
    """Delete the ratings that are older than *keep_days*, of all tenants; how many there were."""
    old = AnswerRating.rated_at < now() - timedelta(days=keep_days)
    return int(session.execute(delete_everywhere(AnswerRating).where(old)).rowcount)  # type: ignore[attr-defined] # as above


def find_verdicts(
    session: Session, ctx: Principal, conversation_id: str, answered_at: Mapping[str, datetime]
) -> dict[str, str]:
    """The verdicts about the answers that these runs gave in a conversation at those times, by run.

    One from before is about a former answer: an `Idempotency-Key` names the run, and may be used again once it has
    expired.
    """
    here = scoped(ctx, AnswerRating).where(*_select_answer(ctx, conversation_id))
    columns = here.with_only_columns(AnswerRating.run_id, AnswerRating.rating, AnswerRating.rated_at)
    verdicts: dict[str, str] = {}
    for ids in split_into_batches(list(answered_at)):
        for run_id, rating, rated_at in session.execute(columns.where(AnswerRating.run_id.in_(ids))):
            if rated_at > answered_at[run_id] - _CLOCKS_DIFFER:
                verdicts[run_id] = rating
    return verdicts


def list_rated_runs(session: Session, ctx: Principal, conversation_id: str | None = None) -> list[str]:
    """The runs whose answers are rated, of all conversations or of one."""
    here = () if conversation_id is None else _select_answer(ctx, conversation_id)
    return list(session.scalars(scoped(ctx, AnswerRating).where(*here).with_only_columns(AnswerRating.run_id)))


def list_ratings(
    session: Session, ctx: Principal, part: Part | None = None, *, rating: Verdict | None = None
) -> Rows[AnswerRating]:
    """A part of the ratings as they are stored, or all, the newest first; see `decrypt_texts`.

    All of the tenant for who shares its conversations, else those in the caller's own.
    """
    conditions = [] if rating is None else [AnswerRating.rating == rating]
    if ctx.owner_id:
        conditions.append(AnswerRating.owner_id == ctx.owner_id)
    total = session.scalar(scoped_count(ctx, AnswerRating).where(*conditions)) or 0
    ratings, keys = scoped(ctx, AnswerRating).where(*conditions), (AnswerRating.rated_at, AnswerRating.run_id)
    return read_part(session, ratings, keys, part or Part(MAX_RATINGS), total=total, descending=True)


def _select_answer(ctx: Principal, conversation_id: str) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return AnswerRating.owner_id == ctx.owner_id, AnswerRating.conversation_id == conversation_id


def _list_facts(rating: Rating) -> dict[str, Any]:
    """All but the words."""
    return {part.name: getattr(rating, part.name) for part in fields(rating) if part.name not in NO_TEXTS}


def _list_texts(rating: Rating) -> dict[str, Any]:
    return {name: getattr(rating, name) for name in NO_TEXTS} | {"sources": list(rating.sources)}


def _keep_texts(row: AnswerRating, rating: Rating, keys: Keyring | None) -> dict[str, str]:
    """The words that were left out, as they were; empty where verdict or answer are others. Only to stay are
    they read.
    """
    omitted = [name for name in ("comment", "expected") if getattr(rating, name) is None]
    if not omitted or row.rating != rating.rating:
        return dict.fromkeys(omitted, "")
    texts = read_texts(row, keys)
    return {name: texts[name] if texts["answer"] == rating.answer else "" for name in omitted}


def _lock_rating(session: Session, ctx: Principal, run_id: str) -> AnswerRating | None:
    return session.scalar(scoped(ctx, AnswerRating).where(AnswerRating.run_id == run_id).with_for_update())


def _add(session: Session, ctx: Principal, rating: Rating) -> AnswerRating:
    if (session.scalar(scoped_count(ctx, AnswerRating)) or 0) >= MAX_RATINGS:
        raise Conflict(f"There are {MAX_RATINGS:,} ratings already: `flask ratings --forget` makes room.")
    # Without its words: what a database was once given it keeps for a while, also where it is replaced at once.
    row = AnswerRating(tenant_id=ctx.tenant_id, owner_id=ctx.owner_id, **_list_facts(rating), **NO_TEXTS)
    try:
        with session.begin_nested():
            session.add(row)
    except IntegrityError:  # another verdict about it came in between, which may be gone again
        return _lock_rating(session, ctx, rating.run_id) or _add(session, ctx, rating)
    return row
