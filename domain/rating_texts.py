"""The words of a rating: as they are, or under the keys that conversations are encrypted with, as one value.

A row's `sources` are a list. Where its words are encrypted they are a text, base64 of what utils/checkpointer/cipher.py
makes of all of them, and the other columns are empty. So the shape of a column says which it is: nobody can write words
that are taken for encrypted ones, and what is encrypted opens only as the words of its own rating.
"""

import json
from base64 import b64decode, b64encode
from typing import Any

from domain.models import AnswerRating
from utils.checkpointer.cipher import Keyring, make_missing_key_error, read_key_name
from utils.checkpointer.errors import StateUnreadable, UnreadableValue

Texts = dict[str, Any]
NO_TEXTS: Texts = {"question": "", "answer": "", "comment": "", "expected": "", "sources": []}


class RatingUnreadable(StateUnreadable):
    """The words of a rating, as `StateUnreadable` is about a conversation."""

    title = "The rating cannot be read"

    def __init__(self, row: AnswerRating, reason: str) -> None:
        super().__init__(_name(row), reason)
        self.detail = "A rating cannot be read. The operator's log says which, and which key it needs."


def write_texts(row: AnswerRating, texts: Texts, keys: Keyring | None) -> None:
    """Let *row* say *texts*, named as `NO_TEXTS` are; encrypted where there are keys."""
    if keys is not None:
        sealed = keys.encrypt(json.dumps(texts).encode(), _name(row).encode())
        texts = {**NO_TEXTS, "sources": b64encode(sealed).decode()}
    for name, value in texts.items():
        setattr(row, name, value)


def read_texts(row: AnswerRating, keys: Keyring | None) -> Texts:
    """What `write_texts` was given, under whichever of *keys*, or before there were any.

    Raises:
        RatingUnreadable: its key is not among them, or what is stored was changed or moved.
    """
    if _is_plain(row):
        return {name: getattr(row, name) for name in NO_TEXTS}
    sealed = _seal(row)
    try:
        if keys is None:
            raise make_missing_key_error(read_key_name(sealed))
        texts: Texts = json.loads(keys.decrypt(sealed, _name(row).encode()))
    except UnreadableValue as exc:
        raise RatingUnreadable(row, str(exc)) from exc
    return texts


def decrypt_texts(row: AnswerRating, keys: Keyring | None) -> AnswerRating:
    """The rating with its words: a copy that is in no session, so that they are not written back.

    Raises:
        RatingUnreadable: see `read_texts`.
    """
    stored = {column.key: getattr(row, column.key) for column in AnswerRating.__table__.columns}
    return AnswerRating(**{**stored, **read_texts(row, keys)})


def is_current(row: AnswerRating, keys: Keyring | None) -> bool:
    """Whether the words are kept as `write_texts` would with *keys*.

    Raises:
        RatingUnreadable: what is stored was changed.
    """
    if keys is None or _is_plain(row):
        return keys is None and _is_plain(row)
    return keys.is_current(_seal(row))


def _is_plain(row: AnswerRating) -> bool:
    return isinstance(row.sources, list)


def _seal(row: AnswerRating) -> bytes:
    try:
        return b64decode(row.sources, validate=True)  # type: ignore[arg-type]  # anything but a text is refused here
    except (TypeError, ValueError) as exc:
        raise RatingUnreadable(row, "neither plain nor encrypted") from exc


def _name(row: AnswerRating) -> str:
    """Which rating it is, also as what its words are about: nothing in it can hold a space, nor the last part a dot."""
    owner = f"{row.owner_id}." if row.owner_id else ""
    return f"rating {row.run_id} of {row.tenant_id}.{owner}{row.conversation_id}"
