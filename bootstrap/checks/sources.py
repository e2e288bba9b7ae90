"""Our own code on this machine: the application, the agent, and the tools below them, each put to a small use."""

import pkgutil
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType

from langgraph.checkpoint.memory import InMemorySaver

import agents
import utils
from agents.rag import compile_graph
from bootstrap.checks.settings import Installation
from bootstrap.ingesting import make_reading_policy
from bootstrap.sandbox import find_walls
from bootstrap.tools import list_tools
from config import SAMPLES
from ingestion.parsers.kinds import KINDS
from ingestion.parsers.libreoffice import COMPONENTS, find_libreoffice
from prompts.rag import make_system_prompt
from providers.ocr.chosen import LANGUAGES, find_available
from utils.errors import UnreadableDocument
from utils.findings import Finding, failure, ok, skipped, warning
from utils.language import detect_language
from utils.passages import Passage
from utils.processes import StartError
from utils.sandbox.sandbox import Sandbox
from utils.sandbox.walls import MEANING, REMEDY

_AGAIN = "Install the packages of requirements.txt again, and take all of the service's sources from one version."
_EXTRAS = frozenset({"opentelemetry", "sentry_sdk"})  # installed where they are used, and then asked for at the start
_SENTENCES = {
    "id": "Bagaimana cara mendaftar ulang dan berapa biayanya?",
    "en": "How do I register again and how much does it cost?",
    "es": "¿Cómo me vuelvo a inscribir y cuánto cuesta?",
}


def check_application(installation: Installation) -> Iterator[Finding]:
    """Whether it can be imported and put together; nothing is started."""
    # By name: the application stands above this package, and only the operator's command looks up at it.
    routes = import_module("app").create_app(installation.settings).url_map.iter_rules()
    yield ok("Application", f"it can be imported and has {len(list(routes))} routes")


def check_agent(_: Installation) -> Iterator[Finding]:
    """Whether the modules of the agent can be imported and its graph compiles."""
    yield _import_all("Agent modules", agents)
    nodes = [name for name in compile_graph(InMemorySaver()).get_graph().nodes if not name.startswith("__")]
    yield ok("Agent graph", f"it compiles: {', '.join(nodes)}")


def check_utilities(_: Installation) -> Iterator[Finding]:
    """Whether the modules below everything can be imported."""
    yield _import_all("Utility modules", utils)


def check_tools(installation: Installation) -> Iterator[Finding]:
    """Whether the modules of TOOL_MODULES can be used; without that the service does not start."""
    modules = installation.settings.tool_modules
    if not modules:
        yield skipped("TOOL_MODULES", "not set: bots have the built-in tools alone")
        return
    try:
        list_tools(installation.settings)
    except StartError as exc:
        remedy = "Correct TOOL_MODULES or the module; PYTHONPATH has to name the folder of a module elsewhere."
        yield failure("TOOL_MODULES", f"{str(exc).removeprefix('TOOL_MODULES: ')}.", remedy)
    else:
        yield ok("TOOL_MODULES", f"their tools can be used: {', '.join(modules)}")


def _import_all(check: str, package: ModuleType) -> Finding:
    folder = str(Path(package.__file__ or "").parent)
    names = [module.name for module in pkgutil.walk_packages([folder], f"{package.__name__}.")]
    for name in names:
        try:
            import_module(name)
        except ImportError as exc:
            if (exc.name or "").partition(".")[0] not in _EXTRAS:
                raise
    return ok(check, f"all {len(names)} can be imported")


def check_prompts(installation: Installation) -> Iterator[Finding]:
    """Whether the prompts hold the passages and the settings that belong into them."""
    settings, text = installation.settings, "Registration costs 250."
    passage = Passage(
        passage_id="1", document_id="1", title="Fees", source="fees.md", url=None, page=None, heading="", start=0,
        end=len(text), text=text, language="en",
    )  # fmt: skip
    prompt = make_system_prompt([passage], institution=settings.institution, language_policy=settings.language_policy)
    if text in prompt and settings.language_policy in prompt:
        yield ok("Prompts", f"they can be written, in {len(prompt)} characters without documents")
    else:
        yield failure("Prompts", "They do not hold the passages or LANGUAGE_POLICY.", _AGAIN)


def check_languages(_: Installation) -> Iterator[Finding]:
    """Whether the service tells its languages apart."""
    wrong = [language for language, text in _SENTENCES.items() if detect_language(text, default="") != language]
    if wrong:
        yield failure("Language detection", f"It does not know {', '.join(wrong)}.", _AGAIN)
    else:
        yield ok("Language detection", f"it tells {', '.join(_SENTENCES)} apart")


def check_parsers(installation: Installation) -> Iterator[Finding]:
    """Whether a sample of each format can be read in the sandbox."""
    files = {path.suffix: path for path in sorted(SAMPLES.iterdir()) if path.is_file()}
    with Sandbox() as sandbox, make_reading_policy(installation.settings, sandbox).open_parser() as parser:
        for path in files.values():
            try:
                parser.parse(path.read_bytes(), path.name)
            except UnreadableDocument as exc:
                yield failure("Document parsers", f"{path.name} cannot be read: {exc.detail}", _AGAIN)
                return
    supported = " ".join(sorted(KINDS))
    yield ok("Document parsers", f"samples were read in a process of their own; supported: {supported}")


def check_sandbox(installation: Installation) -> Iterator[Finding]:
    """Which walls of the sandbox stand, tried from inside."""
    with Sandbox() as sandbox:
        report = find_walls(sandbox)
    if report.standing:
        walls = ", ".join(f"{wall}: {means}" for wall, means in report.standing.items())
        yield ok("Sandbox", f"files are read behind walls; {walls}")
    judge = failure if installation.settings.sandbox_required else warning
    for wall, why in report.missing.items():
        yield judge("Sandbox", f"A wall is missing, {wall}: {why}. {MEANING[wall]}", REMEDY[wall])


def check_old_formats(_: Installation) -> Iterator[Finding]:
    """Whether LibreOffice is there, for the formats that need it."""
    missing = [package for target, (_, package) in COMPONENTS.items() if find_libreoffice(target) is None]
    if missing:
        remedy = f"To have them read: apt-get install --no-install-recommends {' '.join(missing)}"
        yield skipped("Old formats", f"not all of DOC, PPT and RTF are read, which takes LibreOffice. {remedy}")
    else:
        yield ok("Old formats", "DOC, PPT and RTF are read by LibreOffice")


def check_recognition(installation: Installation) -> Iterator[Finding]:
    """Which text recognition there is."""
    if not installation.settings.ocr_enabled:
        yield skipped("Text recognition", "OCR_ENABLED is off: scanned pages stay unread")
    elif available := find_available():
        yield ok("Text recognition", f"scanned pages are read by {available}")
    else:
        remedy = f"Install the packages of requirements.txt, or Tesseract with its data for {', '.join(LANGUAGES)}."
        yield warning("Text recognition", "There is none: scanned pages and pictures stay unread.", remedy)
