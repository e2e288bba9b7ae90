"""How many tokens a turn has cost so far, as models told it; estimated where they told nothing."""

from contextvars import ContextVar
from dataclasses import dataclass

_CHARACTERS_PER_TOKEN = 4  # of English; other languages and scripts take fewer, so this is on the low side


@dataclass(slots=True)
class TokenUsage:
    """The tokens of one turn."""

    input_tokens: int = 0
    output_tokens: int = 0

    @property
    def tokens(self) -> int:
        """Both together."""
        return self.input_tokens + self.output_tokens


_current: ContextVar[TokenUsage | None] = ContextVar("token_usage", default=None)


def measure_tokens() -> TokenUsage:
    """What is counted into from here on, in this context and those that are made of it."""
    usage = TokenUsage()
    _current.set(usage)
    return usage


def add_tokens(input_tokens: int, output_tokens: int) -> None:
    """Count so many for the present turn, if there is one."""
    usage = _current.get()
    if usage is not None:
        usage.input_tokens += input_tokens
        usage.output_tokens += output_tokens


def read_usage() -> TokenUsage:
    """What the present turn has cost so far; nothing outside of one."""
    return _current.get() or TokenUsage()


def estimate_tokens(characters: int) -> int:
    """About how many tokens a text of so many characters has."""
    return -(-characters // _CHARACTERS_PER_TOKEN)
