"""Our own code on this machine: the application, the agent, and the tools below them, each put to a small use."""

import pkgutil
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

from langgraph.checkpoint.memory import InMemorySaver

import agents
import utils
from agents.rag import compile_graph
from bootstrap.checks.finding import Finding, failure, ok, skipped, warning
from bootstrap.checks.running import Check
from bootstrap.checks.settings import Installation
from bootstrap.ingesting import reading_policy
from bootstrap.sandbox import look
from config import SAMPLES, Settings
from ingestion.parsers.kinds import KINDS
from prompts.rag import standalone_prompt, system_prompt
from providers.ocr.chosen import LANGUAGES, available
from utils.errors import UnreadableDocument
from utils.language import detect_language
from utils.passages import Passage
from utils.sandbox.sandbox import Sandbox
from utils.sandbox.walls import MEANING, REMEDY

_AGAIN = "Install the packages of requirements.txt anew, and take all of the service's sources from one version."
_SENTENCES = {
    "id": "Bagaimana cara mendaftar ulang dan berapa biayanya?",
    "en": "How do I register again and how much does it cost?",
    "es": "¿Cómo me vuelvo a inscribir y cuánto cuesta?",
}


def checks(installation: Installation) -> list[Check]:
    """The checks of this group."""
    settings = installation.settings
    return [
        Check("Agent modules", _agent),
        Check("Utility modules", lambda: [_all_of("Utility modules", Path(utils.__file__ or "").parent, "utils")]),
        Check("Prompts", lambda: [_prompts(settings)]),
        Check("Language detection", lambda: [_languages()]),
        Check("Document parsers", lambda: [_parsers(settings)], limit_s=30),
        Check("Sandbox", lambda: _sandbox(settings), limit_s=30),
        Check("Text recognition", lambda: [_recognition(settings)], limit_s=30),
    ]


def _agent() -> Iterator[Finding]:
    yield _all_of("Agent modules", Path(agents.__file__ or "").parent, "agents")
    nodes = [name for name in compile_graph(InMemorySaver()).get_graph().nodes if not name.startswith("__")]
    yield ok("Agent graph", f"it compiles: {', '.join(nodes)}")


def _all_of(check: str, folder: Path, package: str) -> Finding:
    names = [module.name for module in pkgutil.walk_packages([str(folder)], f"{package}.")]
    for name in names:
        import_module(name)
    return ok(check, f"all {len(names)} can be imported")


def _prompts(settings: Settings) -> Finding:
    said = "Registration costs 250."
    passage = Passage(
        passage_id="1", document_id="1", title="Fees", source="fees.md", url=None, page=None, heading="", start=0,
        end=len(said), text=said, language="en",
    )  # fmt: skip
    prompt = system_prompt(
        [passage], institution=settings.institution, language_policy=settings.language_policy
    ) + standalone_prompt([("user", "And late?")], said)
    if said not in prompt or settings.language_policy not in prompt:
        return failure("Prompts", "They do not hold the passages or LANGUAGE_POLICY.", _AGAIN)
    return ok("Prompts", f"they can be written, in {len(prompt)} characters without documents")


def _languages() -> Finding:
    wrong = [language for language, text in _SENTENCES.items() if detect_language(text, default="") != language]
    if wrong:
        return failure("Language detection", f"It does not know {', '.join(wrong)}.", _AGAIN)
    return ok("Language detection", f"it tells {', '.join(_SENTENCES)} apart")


def _parsers(settings: Settings) -> Finding:
    """One of the samples in each format, in the process of its own in which documents are read."""
    files = {path.suffix: path for path in sorted(SAMPLES.iterdir()) if path.is_file()}
    with Sandbox() as sandbox, reading_policy(settings, sandbox).open_parser() as parser:
        for path in files.values():
            try:
                parser.parse(path.read_bytes(), path.name)
            except UnreadableDocument as exc:
                return failure("Document parsers", f"{path.name} cannot be read: {exc.detail}", _AGAIN)
    return ok("Document parsers", f"samples were read in a process of their own; supported: {' '.join(sorted(KINDS))}")


def _sandbox(settings: Settings) -> Iterator[Finding]:
    """Which walls stand around those processes, tried from inside."""
    with Sandbox() as sandbox:
        report = look(sandbox)
    if report.standing:
        walls = ", ".join(f"{wall}: {means}" for wall, means in report.standing.items())
        yield ok("Sandbox", f"files are read behind walls; {walls}")
    judge = failure if settings.sandbox_required else warning
    for wall, why in report.missing.items():
        yield judge("Sandbox", f"A wall is missing, {wall}: {why}. {MEANING[wall]}", REMEDY[wall])


def _recognition(settings: Settings) -> Finding:
    if not settings.ocr_enabled:
        return skipped("Text recognition", "OCR_ENABLED is off: scanned pages stay unread")
    if found := available():
        return ok("Text recognition", f"scanned pages are read by {found}")
    remedy = f"Install the packages of requirements.txt, or Tesseract with its data for {', '.join(LANGUAGES)}."
    return warning("Text recognition", "There is none: scanned pages and pictures stay unread.", remedy)
