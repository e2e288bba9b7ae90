"""The conversations' saver and keys, as the settings want them."""

from typing import NamedTuple

from config import Settings
from utils.checkpointer import Connections, RedisCheckpointer
from utils.checkpointer.cipher import Keyring, parse_keys
from utils.errors import StoreRefused


class Rekeying(NamedTuple):
    """How conversations and ratings come under one key: *old* reads whatever they are under, *new* writes.

    `target` is the name of the key, empty where they are to be decrypted; `spare` are the names of the other keys.
    """

    old: Keyring | None
    new: Keyring | None
    target: str
    spare: tuple[str, ...]


def open_saver(settings: Settings, connections: Connections) -> RedisCheckpointer:
    """A saver over *connections*; it connects when it is first used."""
    return RedisCheckpointer(
        connections, ttl_s=settings.conversation_ttl, keep=settings.checkpoints_kept, keys=make_keyring(settings)
    )


def make_keyring(settings: Settings) -> Keyring | None:
    """The keys of STATE_ENCRYPTION_KEYS; None where conversations and ratings are not encrypted."""
    keys = settings.state_encryption_keys
    return None if keys is None else Keyring.parse(keys.get_secret_value())


def make_encryption(settings: Settings) -> Rekeying:
    """Everything under the first key of STATE_ENCRYPTION_KEYS.

    Raises:
        StoreRefused: there is none.
    """
    text = settings.state_encryption_keys
    if text is None:
        raise StoreRefused(
            "There is no key to encrypt with: set STATE_ENCRYPTION_KEYS=name:key, keys from `openssl rand -base64 32`."
        )
    keys = parse_keys(text.get_secret_value())
    target, *spare = keys
    return Rekeying(Keyring(keys), Keyring({target: keys[target]}), target, tuple(spare))


def make_decryption(settings: Settings) -> Rekeying:
    """Nothing under a key any more, as far as STATE_ENCRYPTION_KEYS has the keys."""
    keys = settings.state_encryption_keys
    spare = () if keys is None else tuple(parse_keys(keys.get_secret_value()))
    return Rekeying(make_keyring(settings), None, "", spare)
