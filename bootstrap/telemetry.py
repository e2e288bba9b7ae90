"""Opens the metrics of this process, where they are wanted."""

import asyncio
import platform
import socket
from contextlib import AsyncExitStack, ExitStack
from functools import partial
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from config import VERSION, Settings
from providers.openai_errors import Reason
from utils.ports import FallbackReason, RunOutcome
from utils.private_files import ensure_private_folder
from utils.processes import StartError, reserve_port
from utils.telemetry import Telemetry
from utils.telemetry.catalogue import BUILD, CATALOGUE, MODEL_ERRORS, PROBLEMS, TURN_FAILURES, TURN_FALLBACKS, TURNS

if TYPE_CHECKING:  # it imports prometheus_client
    from utils.telemetry.instruments import Instruments


async def open_telemetry(stack: AsyncExitStack, settings: Settings, folder: Path) -> Telemetry:
    """Observers that count for Prometheus, and the port it asks; ones that do nothing where metrics are off.

    *folder*: the data folder. All is closed with *stack*.

    Raises:
        StartError: the port or the folder for the counts cannot be used.
    """
    if not settings.prometheus_enabled:
        return Telemetry()
    closing = ExitStack()
    stack.push_async_callback(asyncio.to_thread, closing.close)
    counting = ensure_private_folder(
        settings.prometheus_multiproc_dir or folder / "metrics", variable="PROMETHEUS_MULTIPROC_DIR"
    )
    # By host: containers that share a volume are scraped one by one.
    return await asyncio.to_thread(_open, closing, settings, counting / socket.gethostname())


def _open(closing: ExitStack, settings: Settings, folder: Path) -> Telemetry:
    # Only now: prometheus_client is neither imported nor paid for where metrics are off.
    from utils.telemetry.calls import MeteredModel, MeteredStores
    from utils.telemetry.exposition import Exposition
    from utils.telemetry.folder import clear_abandoned, join_folder
    from utils.telemetry.instruments import Instruments
    from utils.telemetry.runs import MeteredRuns
    from utils.telemetry.sampling import Sampler

    try:
        with join_folder(folder) as counts:
            closing.callback(counts.close)
            listen = partial(reserve_port, settings.metrics_host, settings.metrics_port, variable="METRICS_PORT")
            if counts.is_first:  # whoever has the port now is none of us
                listen().close()
            instruments = Instruments(CATALOGUE)
            instruments.put(BUILD, 1, VERSION, platform.python_version())
            _prepare(instruments)
            closing.callback(Exposition(counts, listen(shared=True)).close)
        clear_abandoned(folder)
    except OSError as exc:
        raise StartError(
            f"{folder} cannot be written ({exc.strerror}); set PROMETHEUS_MULTIPROC_DIR to another folder."
        ) from exc
    return Telemetry(
        runs=MeteredRuns(instruments),
        chat_model=MeteredModel(instruments, "chat"),
        tenant_models=MeteredModel(instruments, "tenant_chat"),
        embedding_model=MeteredModel(instruments, "embedding"),
        speech_to_text=MeteredModel(instruments, "speech_to_text"),
        text_to_speech=MeteredModel(instruments, "text_to_speech"),
        emotion_model=MeteredModel(instruments, "emotion"),
        stores=MeteredStores(instruments),
        sampler=Sampler(instruments),
    )


def _prepare(instruments: "Instruments") -> None:
    """Series that alerts wait for, and those that are few."""
    for kind, reason in product(("chat", "embedding", "speech_to_text", "text_to_speech", "emotion"), get_args(Reason)):
        instruments.prepare(MODEL_ERRORS, kind, reason)
    for outcome in get_args(RunOutcome):
        instruments.prepare(TURNS, outcome)
    for series in (PROBLEMS, TURN_FAILURES):
        instruments.prepare(series, "internal")
    for reason in get_args(FallbackReason):
        instruments.prepare(TURN_FALLBACKS, reason)
