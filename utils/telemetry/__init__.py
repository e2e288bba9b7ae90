"""What the service says about itself in figures: `catalogue.py` lists them, `folder.py` adds them up over processes.

Whoever works is given the narrow observers of `Telemetry`, which do nothing where metrics are off: prometheus_client is
then not even imported.
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from utils.observers import ModelObservers, RunObservers, StoreObservers
from utils.ports import (
    ModelObserver,
    RunObserver,
    StoreObserver,
)

if TYPE_CHECKING:
    from utils.telemetry.sampling import Sampler


@dataclass(frozen=True, slots=True)
class Telemetry:
    """Whom to tell what happens; without arguments nobody listens. `sampler` is None where metrics are off."""

    runs: RunObserver = field(default_factory=RunObservers)
    chat_model: ModelObserver = field(default_factory=ModelObservers)
    tenant_models: ModelObserver = field(default_factory=ModelObservers)
    embedding_model: ModelObserver = field(default_factory=ModelObservers)
    speech_to_text: ModelObserver = field(default_factory=ModelObservers)
    text_to_speech: ModelObserver = field(default_factory=ModelObservers)
    emotion_model: ModelObserver = field(default_factory=ModelObservers)
    stores: StoreObserver = field(default_factory=StoreObservers)
    sampler: "Sampler | None" = None
