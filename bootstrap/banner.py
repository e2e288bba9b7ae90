"""The texts for the person who starts the service in a terminal."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tqdm import tqdm

from bootstrap.knowledge import Progress
from config import SAMPLES
from ingestion.pipeline import LoadSummary


@contextmanager
def show_loading_bar() -> Iterator[Progress]:
    """A progress bar for KNOWLEDGE_DIR on standard error, where that is a terminal."""
    with tqdm(unit=" documents", desc="Loading", leave=False, disable=not sys.stderr.isatty()) as bar:

        def show(done: int, total: int, name: str) -> None:
            bar.total = total
            bar.set_postfix_str(name[-40:], refresh=False)
            bar.update(done - bar.n)

        yield show


def describe_loaded(summary: LoadSummary | None, folder: Path | None) -> str:
    """One line about the documents, and one for each that could not be read."""
    if folder is None or (summary is None and folder == SAMPLES):
        return "Documents  no folder is loaded (KNOWLEDGE_DIR); `.venv/bin/flask documents` lists those there are"
    if summary is None:
        return f"Documents  none in {folder}"
    counts = f"{summary.added} added, {summary.changed} changed, {summary.unchanged} unchanged"
    head = (
        f"Documents  {counts}, {len(summary.failed)} failed: {summary.chunks} new passages in {summary.seconds:.1f} s"
    )
    return "\n".join([head, *(f"  failed   {name}: {reason}" for name, reason in summary.failed)])


def make_welcome(
    *, api_url: str, page_url: str | None, key: str | None, answers_by: str, data_folder: str, question: str
) -> str:
    """Where everything is, and a *question* to try; with a new key, the only time it is shown."""
    lines = [
        f"API        {api_url}      (documentation: {api_url}/docs)",
        f"Chat page  {page_url or 'not started (STREAMLIT_ENABLED)'}",
        f"Answers    {answers_by}",
        f"Data       {data_folder}",
    ]
    if key:
        lines += [
            "",
            f"API_KEY    {key}",
            "           Keep it: it is not shown again. `.venv/bin/flask api-key` makes another.",
        ]
    else:
        lines += [
            "",
            "API_KEY    the one that you set, or that was shown at the first start.",
            "           `.venv/bin/flask api-key` makes another.",
        ]
    lines += [
        f"           Your own documents: with it on {'the chat page, or with' if page_url else 'the API, or with'} "
        "`.venv/bin/flask load path/to/folder`.",
        "",
        "Try it:" if key else "Try it, with your key in the variable API_KEY (export API_KEY=...):",
        # In double quotes, so that the shell puts the key in.
        f'  curl {api_url}/v1/chat -H "X-API-Key: {key or "$API_KEY"}" -H "X-Conversation-Id: first" \\',
        f"    -H 'Content-Type: application/json' -d '{{\"message\": \"{question}\"}}'",
        "",
        "Ctrl-C stops everything.",
    ]
    return "\n".join(lines)
