"""Runs and their events as Redis has them: JSON and texts, encrypted where conversations are."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from agents.runs.keys import run_key
from agents.runs.record import Event, RunRecord
from utils.checkpointer.cipher import Keyring
from utils.checkpointer.errors import StateUnreadable, UnreadableValue

Batch = list[tuple[int, Event]]  # events with their numbers


class RunCodec:
    """Encrypts messages and events under *keys*, and reads them; None: they are not encrypted.

    Reading raises:
        StateUnreadable: its key is not among *keys*.
    """

    def __init__(self, keys: Keyring | None) -> None:
        self._keys = keys

    def seal(self, plain: bytes, run_id: str) -> bytes:
        """What is stored of *plain*."""
        return plain if self._keys is None else self._keys.encrypt(plain, _name(run_id))

    def unseal(self, sealed: bytes, run_id: str) -> bytes:
        """What `seal` was given."""
        if self._keys is None:
            return sealed
        try:
            return self._keys.decrypt(sealed, _name(run_id))
        except UnreadableValue as exc:
            raise StateUnreadable(run_key(run_id), str(exc)) from exc

    def read_record(self, run_id: str, fields: Mapping[bytes, bytes]) -> RunRecord:
        """The record of a run, of the fields of its hash."""
        return make_record(run_id, fields, self.unseal(fields[b"message"], run_id).decode())

    def read_after(self, run_id: str, entries: Iterable[Any], number: int) -> Batch:
        """The events after *number* in order, each once: what was written again stands in two entries."""
        batch: Batch = []
        for entry in entries:
            batch += [one for one in self.read_batch(run_id, entry) if one[0] > (batch[-1][0] if batch else number)]
        return batch

    def read_batch(self, run_id: str, entry: Any) -> Batch:
        """The events of an entry of the stream, which is under the number of the last one."""
        place, fields = entry
        events = json.loads(self.unseal(_get_only_value(fields), run_id))
        first = int(place.partition(b"-")[0]) - len(events) + 1
        return list(enumerate(events, first))


def make_record(run_id: str, fields: Mapping[bytes, bytes], message: str) -> RunRecord:
    """The record of a run whose message is known."""
    texts = {name.decode(): value.decode() for name, value in fields.items() if name != b"message"}
    return RunRecord.from_fields(run_id, texts, message)


def _name(run_id: str) -> bytes:
    return f"run {run_id}".encode()


def _get_only_value(fields: Any) -> bytes:
    """The value of an entry with one field; redis-py makes a dictionary of what is not a script's."""
    value: bytes = next(iter(fields.values())) if isinstance(fields, Mapping) else fields[1]
    return value
