"""What a text recognition of one document is given, and what it gives."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from utils.ports import TextRecogniser
from utils.sandbox.jobs import SandboxJob
from utils.sandbox.process import SandboxedProcess

Start = Callable[[SandboxJob], SandboxedProcess]
"""Starts a process: `Sandbox.start`, or one that remembers what it started."""


class Recogniser(TextRecogniser, Protocol):
    """A `TextRecogniser` that has to be closed."""

    def close(self) -> None:
        """End what it has started."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecognitionLimits:
    """What a process that recognises text may take: seconds for a page, memory, and seconds of a processor in all."""

    page_s: float = 45.0
    memory_bytes: int = 1_000_000_000
    cpu_s: int = 3_600
