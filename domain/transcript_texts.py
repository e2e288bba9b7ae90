"""The texts of the transcript: as they are, or under the keys that conversations are encrypted with, as one value.

Where a row's texts are encrypted, its column `sealed` (`sealed_title` of a conversation) holds base64 of what
utils/checkpointer/cipher.py makes of all of them, and the other columns are empty. What is encrypted opens only as the
texts of its own row.
"""

import json
from base64 import b64decode, b64encode
from typing import Any

from domain.models import Conversation, Turn
from utils.checkpointer.cipher import Keyring, make_missing_key_error, read_key_name
from utils.checkpointer.errors import StateUnreadable, UnreadableValue

Texts = dict[str, Any]
NO_TEXTS: Texts = {"question": "", "answer": None, "citations": [], "support": None, "details": {}, "tool_calls": []}


class TranscriptUnreadable(StateUnreadable):
    """A text of the transcript, as `StateUnreadable` is about the state of a conversation."""


def write_texts(row: Turn, texts: Texts, keys: Keyring | None) -> None:
    """Let *row* say *texts*, named as `NO_TEXTS` are; encrypted where there are keys."""
    row.sealed = None
    if keys is not None:
        row.sealed = _seal(json.dumps(texts), _name_turn(row), keys)
        texts = NO_TEXTS
    for name in NO_TEXTS:
        setattr(row, name, texts[name])


def read_texts(row: Turn, keys: Keyring | None) -> Texts:
    """What `write_texts` was given, under whichever of *keys*, or before there were any.

    Raises:
        TranscriptUnreadable: its key is not among them, or what is stored was changed or moved.
    """
    if row.sealed is None:
        return {name: getattr(row, name) for name in NO_TEXTS}
    texts: Texts = json.loads(_unseal(row.sealed, _name_turn(row), keys))
    return texts


def write_title(row: Conversation, title: str, keys: Keyring | None) -> None:
    """Let the conversation be called *title*; encrypted where there are keys."""
    row.sealed_title = None if keys is None else _seal(title, _name_conversation(row), keys)
    row.title = title if keys is None else ""


def read_title(row: Conversation, keys: Keyring | None) -> str:
    """What `write_title` was given.

    Raises:
        TranscriptUnreadable: as of `read_texts`.
    """
    if row.sealed_title is None:
        return row.title
    return _unseal(row.sealed_title, _name_conversation(row), keys)


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


def _name_conversation(row: Conversation) -> str:
    return f"title of {row.tenant_id}.{row.owner_id}.{row.conversation_id}"


def _name_turn(row: Turn) -> str:
    return f"turn {row.run_id} of {row.tenant_id}.{row.owner_id}.{row.conversation_id}"
