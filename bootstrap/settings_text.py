"""The settings and metrics as people read them: `python -m bootstrap.settings_text` writes them.

`.env.example` and `docs/configuration.md` hold all settings of `config.py`, the latter also what the chat page alone
reads, the README those that matter first, `docs/operating.md` the metrics of `utils/telemetry/catalogue.py`.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo

from config import SAMPLES, Settings
from utils.telemetry.catalogue import CATALOGUE, Series

ROOT = SAMPLES.parent
_FIRST = (
    "API_KEY", "INSTITUTION", "KNOWLEDGE_DIR", "DATA_DIR", "HOST", "PORT", "STREAMLIT_PORT", "LLM_BASE_URL",
    "LLM_API_KEY", "LLM_MODEL", "EMBEDDING_BASE_URL", "REDIS_URL", "DATABASE_URI", "QDRANT_URL", "CONVERSATION_TTL",
    "RATE_LIMIT_PER_HOUR",
)  # fmt: skip
_MARKS = ("<!-- settings: made by `make generated` -->", "<!-- end of settings -->")
_METRICS_MARKS = ("<!-- metrics: made by `make generated` -->", "<!-- end of metrics -->")
# Variables that `config.py` knows nothing of, since the chat page alone reads them: rows by their groups.
_PAGE_ROWS = {
    "Chat page": "| `API_URL` | `http://127.0.0.1:8000` | For a chat page that is started by itself: address at which "
    "it reaches the API. `python app.py` sets it for its own page. |\n"
}
_HEAD = "| variable | default | what it sets |\n| --- | --- | --- |\n"


def make_env_example() -> str:
    """The text of `.env.example`: every variable with its default, commented out."""
    lines = ["# Settings of the service; all are optional. Made by `make generated` from config.py: do not edit.", ""]
    for name, field in Settings.model_fields.items():
        lines += [f"# {field.description}", f"# {name.upper()}={_format_default(field)}", ""]
    return "\n".join(lines)


def make_configuration_page() -> str:
    """The text of `docs/configuration.md`: a table for each group of `config.py`."""
    parts = [
        "# Configuration",
        "Environment variables, or lines of a `.env` file in the folder the service is started in. An installation\n"
        "has them in a file that `PUSTAKA_ENV_FILE` names; what stands there wins over the environment, and paths\n"
        "that are relative begin in the folder of the sources. An empty value counts as not set. A wrong value stops\n"
        "the start and is named. Made by `make generated` from `config.py`.",
    ]
    for title, names in _iter_groups():
        rows = "".join(_format_row(name) for name in names) + _PAGE_ROWS.get(title, "")
        parts.append(f"## {title}\n\n{_HEAD}{rows}".rstrip())
    return "\n\n".join(parts) + "\n"


def update_first_settings(readme: str) -> str:
    """*readme* with its table of settings brought up to date."""
    before, _, rest = readme.partition(_MARKS[0])
    after = rest.partition(_MARKS[1])[2]
    return f"{before}{_MARKS[0]}\n{_HEAD}{''.join(_format_row(name.lower()) for name in _FIRST)}{_MARKS[1]}{after}"


def update_metrics(page: str) -> str:
    """*page* with its table of metrics brought up to date."""
    before, _, rest = page.partition(_METRICS_MARKS[0])
    after = rest.partition(_METRICS_MARKS[1])[2]
    rows = "".join(map(_format_metric_row, CATALOGUE))
    head = "| metric | kind | labels | what it tells |\n| --- | --- | --- | --- |\n"
    return f"{before}{_METRICS_MARKS[0]}\n{head}{rows}{_METRICS_MARKS[1]}{after}"


def make_texts() -> dict[Path, str]:
    """Every generated file with what it should hold."""
    readme, operating = ROOT / "README.md", ROOT / "docs" / "operating.md"
    return {
        ROOT / ".env.example": make_env_example(),
        ROOT / "docs" / "configuration.md": make_configuration_page(),
        readme: update_first_settings(readme.read_text()),
        operating: update_metrics(operating.read_text()),
    }


def _iter_groups() -> Iterator[tuple[str, list[str]]]:
    """The groups of `config.py`, by its own headings, with their fields."""
    for part in (ROOT / "config.py").read_text().split("    # --- ")[1:]:
        yield part.partition("\n")[0], re.findall(r"^    (\w+): ", part, re.MULTILINE)


def _format_row(name: str) -> str:
    field = Settings.model_fields[name]
    default = _format_default(field)
    return f"| `{name.upper()}` | {f'`{default}`' if default else ''} | {field.description} |\n"


def _format_metric_row(series: Series) -> str:
    labels = ", ".join(f"`{label}`" for label in series.labels)
    return f"| `{series.name}` | {series.kind} | {labels} | {series.description} |\n"


def _format_default(field: FieldInfo) -> str:
    value: Any = field.default
    if value is None:
        return ""
    if isinstance(value, list):
        return ",".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)


if __name__ == "__main__":
    for path, text in make_texts().items():
        path.write_text(text)
