"""Artifacts of a conversation: the newest table, chart and script that its answers came with, as its answers name them.

An answer carries what was there before it, so that the last one tells of all. What an artifact holds is in the answer
that it came with: see `agents/reading.py`.
"""

import asyncio
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NotRequired, TypedDict

from agents.threads import parse_thread
from datasources.charts.script import write_script
from datasources.result_csv import write_csv
from providers.charts.renderer import ChartRenderer
from providers.files.results import ConversationFolder, ResultFiles
from utils.errors import NotFound

Kind = Literal["data", "image", "code"]
FOLDER = "chat_docs"
_NAMES: Mapping[Kind, str] = {"data": "data_{}.csv", "image": "image_{}.png", "code": "code_{}.py"}


class Artifact(TypedDict):
    """In the answer of which run it came, and how many of its kind came before it; `file` has all rows of a result that
    is too large for the answer."""

    run_id: str
    number: int
    file: NotRequired[str]


Artifacts = Mapping[Kind, Artifact]


@dataclass(frozen=True, slots=True)
class SessionArtifacts:
    """A conversation's artifacts: their names, the newest result of a query, and the newest chart. None: there is none.

    `chart_data_name` is the table that the chart is of, `file` what all rows of the result are in, "" where they are in
    the result itself.
    """

    names: Mapping[Kind, str]
    data: Mapping[str, Any] | None = None
    chart: Mapping[str, Any] | None = None
    chart_data_name: str = ""
    folder: ConversationFolder | None = None
    file: str = ""


def add_artifacts(former: Artifacts, run_id: str, extra: Mapping[str, Any]) -> dict[Kind, Artifact]:
    """*former* with those of an answer, which its *extra* members tell."""
    kinds: list[Kind] = ["data"] if extra.get("data") else []
    if find_chart(extra):
        kinds += ["image", "code"]
    new = {kind: Artifact(run_id=run_id, number=former[kind]["number"] + 1 if kind in former else 0) for kind in kinds}
    if file := extra.get("rows_file"):
        new["data"]["file"] = file
    return {**former, **new}


def find_chart(extra: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The last chart of an answer with these *extra* members."""
    return next((call["chart"] for call in reversed(extra.get("tool_calls") or ()) if call.get("chart")), None)


def name_artifact(kind: Kind, artifact: Artifact) -> str:
    """What it is called when it is saved."""
    return _NAMES[kind].format(artifact["number"])


def name_all(artifacts: Artifacts, thread_id: str) -> dict[Kind, str]:
    """What each is called, with a folder that is another one for each conversation and tells nothing of it."""
    folder = find_folder(thread_id).folder
    return {kind: f"{FOLDER}/{folder}/{name_artifact(kind, each)}" for kind, each in artifacts.items()}


def find_folder(thread_id: str) -> ConversationFolder:
    """Where the files of a conversation are."""
    folder = hashlib.blake2b(thread_id.encode(), digest_size=16).hexdigest()
    return ConversationFolder(parse_thread(thread_id).tenant_id, folder)


def name_rows_file(call_id: str) -> str:
    """The file with all rows that a call of a tool gave: the same for each try of that call."""
    return f"{hashlib.blake2b(call_id.encode(), digest_size=16).hexdigest()}.csv"


async def make_file(artifacts: SessionArtifacts, kind: Kind, *, files: ResultFiles, charts: ChartRenderer) -> bytes:
    """The bytes of an artifact.

    Raises:
        NotFound: it no longer exists.
        NotReady: the chart cannot be drawn, or the rows cannot be decrypted.
    """
    if kind == "data" and artifacts.folder and artifacts.file:
        return await asyncio.to_thread(files.get, artifacts.folder, artifacts.file)
    if kind == "data" and artifacts.data is not None:
        return write_csv(artifacts.data["columns"], artifacts.data["rows"])
    if artifacts.chart is None:
        raise NotFound("The file no longer exists.")
    if kind == "image":
        return await charts.draw(artifacts.chart["spec"])
    image_file = artifacts.names["image"].rpartition("/")[2]
    return write_script(artifacts.chart["spec"], data_file=artifacts.chart_data_name, image_file=image_file).encode()
