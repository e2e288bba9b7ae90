"""How many tokens a turn has cost so far, as models told it; estimated where they told nothing."""

from contextvars import ContextVar
from dataclasses import dataclass

_CHARACTERS_PER_TOKEN = 4  # of English; other languages and scripts take fewer, so this is on the low side


@dataclass(slots=True)
class TokenUsage:
    """The tokens of one turn, input and output together."""

    tokens: int = 0


_current: ContextVar[TokenUsage | None] = ContextVar("token_usage", default=None)


def measure_tokens() -> TokenUsage:
    """What is counted into from here on, in this context and those that are made of it."""
    usage = TokenUsage()
    _current.set(usage)
    return usage


def add_tokens(count: int) -> None:
    """Count so many for the present turn, if there is one."""
    usage = _current.get()
    if usage is not None:
        usage.tokens += count


def count_tokens() -> int:
    """What the present turn has cost so far; 0 outside of one."""
    usage = _current.get()
    return usage.tokens if usage is not None else 0


def estimate_tokens(characters: int) -> int:
    """About how many tokens a text of so many characters has."""
    return -(-characters // _CHARACTERS_PER_TOKEN)
