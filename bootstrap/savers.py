"""The conversations' saver, as the settings want it."""

from config import Settings
from utils.checkpointer import Connections, RedisCheckpointer
from utils.checkpointer.cipher import Keyring


def open_saver(settings: Settings, connections: Connections) -> RedisCheckpointer:
    """A saver over *connections*; it connects when it is first used."""
    return RedisCheckpointer(
        connections, ttl_s=settings.conversation_ttl, keep=settings.checkpoints_kept, keys=keyring_of(settings)
    )


def keyring_of(settings: Settings) -> Keyring | None:
    """The keys of STATE_ENCRYPTION_KEYS; None where conversations are not encrypted."""
    keys = settings.state_encryption_keys
    return None if keys is None else Keyring.parse(keys.get_secret_value())
