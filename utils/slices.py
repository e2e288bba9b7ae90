"""A sequence in parts."""

from collections.abc import Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")


def cut_into_slices(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """*items* in order, *size* at a time."""
    return (items[start : start + size] for start in range(0, len(items), size))
