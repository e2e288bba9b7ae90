"""Code that reads strangers' files runs in the sandbox alone: nothing else of ours imports what reads them.

Also after this was written: whoever imports such a library in the service, or starts a process by himself, fails here.
"""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.packages import ROOT, source_files

# What decodes the formats that strangers choose.
READERS = {"PIL", "cv2", "docx", "lxml", "olefile", "onnxruntime", "openpyxl", "pdfminer", "pdfplumber", "pyarrow",
           "pypdfium2", "rapidocr", "shapely", "tarfile", "trafilatura", "xlrd", "xml", "zipfile"}  # fmt: skip
# Where they may be imported: in what a job names, and for files of the operator: archives, and a model.
IN_THE_SANDBOX = (
    "ingestion/parsers/",
    "ingestion/tables/",
    "ingestion/pages/worker.py",
    "providers/ocr/rapid.py",
    "providers/ocr/worker.py",
)
OF_OPERATORS = ("indexing/archive.py", "providers/entailment/onnx.py")
# What the service's side of a parser is made of: these run outside.
OUTSIDE = {"answers", "kinds", "libreoffice", "parsed", "reading", "recognition", "sandbox", "shapes", "sniffing"}
STARTERS = {"subprocess", "multiprocessing", "pty"}
# Programs of our own, with our own words.
MAY_START = {
    "utils/processes.py",
    "utils/sandbox/fork_server_client.py",
    "bootstrap/checks/stores.py",
    "providers/ocr/tesseract.py",
    "retrieval/edge_folder.py",
    "speech/espeak.py",  # which is given a text
}


def modules() -> Iterator[tuple[str, set[str]]]:
    """Each file of ours, and the packages that it imports anywhere in it."""
    for path in source_files():
        imported: set[str] = set()
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                imported |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                imported.add(node.module.partition(".")[0])
        yield path.relative_to(ROOT).as_posix(), imported


def test_libraries_that_read_files_are_imported_by_what_runs_in_the_sandbox_alone() -> None:
    def is_outside(name: str) -> bool:
        return not name.startswith((*IN_THE_SANDBOX, *OF_OPERATORS)) or Path(name).stem in OUTSIDE

    assert {name: found for name, imported in modules() if is_outside(name) and (found := imported & READERS)} == {}


def test_processes_are_started_in_few_places_none_of_which_is_given_a_strangers_file() -> None:
    assert {name for name, imported in modules() if imported & STARTERS} <= MAY_START


def test_the_running_service_holds_none_of_these_libraries() -> None:
    script = "import sys, app; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    found = {name.partition(".")[0] for name in loaded.stdout.split()} & READERS
    assert found - {"xml", "zipfile", "tarfile"} == set()  # which others import for files of their own
