"""`flask state encrypt` at work: one conversation after the other, and what became of them in words."""

import sys
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

import click

from bootstrap.savers import Rekeying
from cli.state_tables import escape
from utils.checkpointer import RedisCheckpointer, StateUnreadable
from utils.checkpointer.codec import Codec
from utils.checkpointer.reencryption import Outcome

_NAMED = 5  # of those that a message is about; there may be thousands


@dataclass(slots=True)
class Outcomes:
    """What became of conversations, in Redis and in SQL, of ratings, and of `secrets`, which are stored in no other way
    than encrypted, by what they are called: how many by outcome, and which were written to all the time or, by reason,
    cannot be read."""

    counts: Counter[Outcome] = field(default_factory=Counter)
    ratings: Counter[Outcome] = field(default_factory=Counter)
    transcript: Counter[Outcome] = field(default_factory=Counter)
    secrets: defaultdict[str, Counter[Outcome]] = field(default_factory=lambda: defaultdict(Counter))
    busy: list[str] = field(default_factory=list)
    unreadable: defaultdict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    @property
    def complete(self) -> bool:
        """Whether none was left as it was."""
        return not self.busy and not self.unreadable


async def reencrypt(saver: RedisCheckpointer, thread_ids: Sequence[str], keys: Rekeying) -> Outcomes:
    """Bring conversations under the key of *keys*, with a bar on a terminal. One that cannot be read does not end it.

    Raises:
        StoreUnavailable: Redis does not answer any more; what was done is done, and can be gone on with.
    """
    outcomes = Outcomes()
    old, new = Codec(keys.old, plain_too=True), Codec(keys.new)
    label = "Encrypting" if keys.target else "Decrypting"
    with click.progressbar(thread_ids, label=label, show_pos=True, file=sys.stderr) as bar:
        for thread_id in bar:
            try:
                outcome = await saver.areencrypt(thread_id, old, new)
            except StateUnreadable as error:
                outcomes.unreadable[error.reason].append(thread_id)
                continue
            outcomes.counts[outcome] += 1
            if outcome == "busy":
                outcomes.busy.append(thread_id)
    return outcomes


def format_outcomes(outcomes: Outcomes, keys: Rekeying, *, whole: bool) -> str:
    """The outcomes in words; *whole* if these were all conversations and ratings there are."""
    done, counts = _name_done(keys), outcomes.counts
    lines = [f"{counts['done']} conversations {done}; {counts['current']} were already."]
    if ratings := outcomes.ratings:
        lines.append(f"{ratings['done']} ratings {done}; {ratings['current']} were already.")
    if transcript := outcomes.transcript:
        lines.append(f"{transcript['done']} conversations in SQL {done}; {transcript['current']} were already.")
    lines += [_count_secrets(secrets, named, keys) for named, secrets in outcomes.secrets.items()]
    if counts["absent"]:
        lines.append(f"{counts['absent']} ended meanwhile.")
    if whole and outcomes.complete and keys.spare and (keys.target or not outcomes.secrets):
        lines.append(_name_spare_keys(keys))
    return "\n".join(lines)


def format_failures(outcomes: Outcomes) -> str:
    """Which were left as they were, why, and what to do; empty if none was."""
    lines = []
    if outcomes.busy:
        lines.append(
            f"{len(outcomes.busy)} left, written to all the time ({_join_names(outcomes.busy)}): repeat the command."
        )
    for reason, thread_ids in outcomes.unreadable.items():
        lines.append(f"{len(thread_ids)} cannot be read ({_join_names(thread_ids)}): {escape(reason)}.")
    if outcomes.unreadable:
        lines.append(
            "Put a key that is not configured behind the others in STATE_ENCRYPTION_KEYS, and repeat the command; "
            "`flask state delete`, or DELETE over the API, removes what is broken."
        )
    return "\n".join(lines)


def _count_secrets(counts: Counter[Outcome], named: str, keys: Rekeying) -> str:
    """How many values are stored that have to be encrypted."""
    if keys.target:
        return f"{counts['done']} {named} {_name_done(keys)}; {counts['current']} were already."
    return (
        f"{counts['current']} {named} stay encrypted, as they are stored in no other way: keep "
        "STATE_ENCRYPTION_KEYS, or remove them first."
    )


def _name_done(keys: Rekeying) -> str:
    return f"encrypted under {keys.target!r}" if keys.target else "decrypted"


def _name_spare_keys(keys: Rekeying) -> str:
    spare = ", ".join(map(repr, keys.spare))
    if not keys.target:
        return f"Nothing needs {spare} any more: remove STATE_ENCRYPTION_KEYS."
    return (
        f"Nothing needs {spare} any more: remove it from STATE_ENCRYPTION_KEYS if {keys.target!r} is first everywhere."
    )


def _join_names(names: Sequence[str]) -> str:
    named = ", ".join(map(escape, names[:_NAMED]))
    return f"{named} and {len(names) - _NAMED} more" if len(names) > _NAMED else named
