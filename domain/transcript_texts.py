"""The texts of the transcript: as they are, or under the keys that conversations are encrypted with, as one value.

Where a row's texts are encrypted, its column `sealed` (`sealed_title` of a conversation) holds base64 of what
utils/checkpointer/cipher.py makes of all of them, and the other columns are empty. What is encrypted opens only as the
texts of its own row.
"""

import json
from base64 import b64decode, b64encode
from collections.abc import Mapping
from typing import Any

from domain.models import Conversation, Turn
from utils.checkpointer.cipher import Keyring, make_missing_key_error, read_key_name
from utils.checkpointer.errors import StateUnreadable, UnreadableValue

Texts = dict[str, Any]
Key = tuple[str, str, str]  # of a conversation: tenant, owner, id
NO_TEXTS: Texts = {"question": "", "answer": None, "citations": [], "support": None, "details": {}, "tool_calls": []}


class TranscriptUnreadable(StateUnreadable):
    """A text of the transcript, as `StateUnreadable` is about the state of a conversation."""


def make_text_columns(key: Key, run_id: str, texts: Texts, keys: Keyring | None) -> dict[str, Any]:
    """The columns of a turn that say *texts*, named as `NO_TEXTS` are; encrypted where there are keys."""
    if keys is None:
        return {**texts, "sealed": None}
    return {**NO_TEXTS, "sealed": _seal(json.dumps(texts), _name_turn(key, run_id), keys)}


def read_texts(row: Turn, keys: Keyring | None) -> Texts:
    """What `make_text_columns` was given, under whichever of *keys*, or before there were any.

    Raises:
        TranscriptUnreadable: its key is not among them, or what is stored was changed or moved.
    """
    if row.sealed is None:
        return {name: getattr(row, name) for name in NO_TEXTS}
    texts: Texts = json.loads(_unseal(row.sealed, _name_turn(make_key(row), row.run_id), keys))
    return texts


def make_title_columns(key: Key, title: str, keys: Keyring | None) -> dict[str, Any]:
    """The columns of a conversation that is called *title*; encrypted where there are keys."""
    if keys is None:
        return {"title": title, "sealed_title": None}
    return {"title": "", "sealed_title": _seal(title, _name_conversation(key), keys)}


def read_title(row: Conversation, keys: Keyring | None) -> str:
    """What `make_title_columns` was given.

    Raises:
        TranscriptUnreadable: as of `read_texts`.
    """
    if row.sealed_title is None:
        return row.title
    return _unseal(row.sealed_title, _name_conversation(make_key(row)), keys)


def is_current(sealed: str | None, keys: Keyring | None) -> bool:
    """Whether a row whose column `sealed` is that is as it would be written with *keys*."""
    if keys is None or sealed is None:
        return keys is None and sealed is None
    return keys.is_current(b64decode(sealed))


def _seal(text: str, name: str, keys: Keyring) -> str:
    return b64encode(keys.encrypt(text.encode("utf-8", "replace"), name.encode())).decode()


def _unseal(sealed: str, name: str, keys: Keyring | None) -> str:
    try:
        data = b64decode(sealed, validate=True)
        if keys is None:
            raise make_missing_key_error(read_key_name(data))
        return keys.decrypt(data, name.encode()).decode()
    except (UnreadableValue, ValueError) as exc:
        reason = str(exc) if isinstance(exc, UnreadableValue) else "neither plain nor encrypted"
        raise TranscriptUnreadable(name, reason) from exc


def set_columns(row: Conversation | Turn, columns: Mapping[str, Any]) -> None:
    """Let *row* have these values."""
    for name, value in columns.items():
        setattr(row, name, value)


def make_key(row: Conversation | Turn) -> Key:
    """The conversation that *row* is, or is of."""
    return row.tenant_id, row.owner_id, row.conversation_id


def _name_conversation(key: Key) -> str:
    return f"title of {'.'.join(key)}"


def _name_turn(key: Key, run_id: str) -> str:
    return f"turn {run_id} of {'.'.join(key)}"
