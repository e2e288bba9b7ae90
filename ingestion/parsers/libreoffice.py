"""Files of old formats, converted by LibreOffice where it is installed: in a process of the sandbox for each."""

import shutil
import tempfile
import time
from pathlib import Path

from ingestion.parsers.answers import read_answer
from ingestion.parsers.parsed import Limits, Target
from providers.ocr.recogniser import Start
from utils.errors import UnreadableDocument
from utils.sandbox.jobs import FILE_BYTES, SandboxJob
from utils.sandbox.process import SandboxedProcess

LIBRARIES = ("libmergedlo.so", "libsofficeapp.so")  # one of them has the interface, by how LibreOffice was built
# By target: a folder that only the program for such files has, and Debian's package with it. LibreOffice lays out
# windows even when nobody sees them: packages without their descriptions ("nogui") fail on documents with remarks.
COMPONENTS: dict[Target, tuple[str, str]] = {
    "docx": ("share/config/soffice.cfg/modules/swriter/ui", "libreoffice-writer"),
    "pptx": ("share/config/soffice.cfg/modules/simpress/ui", "libreoffice-impress"),
}
MEDIA_TYPES: dict[Target, str] = {
    "docx": "application/msword",
    "pptx": "application/vnd.ms-powerpoint",
}
_READS = (
    "/etc/libreoffice",
    "/var/lib/libreoffice",
    "/var/spool/libreoffice",
    "/etc/fonts",
    "/var/cache/fontconfig",
    "/usr/share",
    "/dev/urandom",
    "/dev/null",
)
_MEMORY_BYTES = 2_000_000_000  # of addresses; without a file its libraries and threads take a quarter of that
_CPU_SPARE_S = 10
_ANSWER_BYTES = 1_000


def find_libreoffice(target: Target) -> Path | None:
    """LibreOffice's library, if what it needs to convert to *target* is installed, too; else None."""
    program = shutil.which("soffice") or shutil.which("libreoffice")
    if program is None:
        return None
    folder = Path(program).resolve().parent
    library = next((folder / name for name in LIBRARIES if (folder / name).is_file()), None)
    return library if (folder.parent / COMPONENTS[target][0]).is_dir() else None


def convert(data: bytes, target: Target, start: Start, limits: Limits) -> bytes:
    """The file in *data* as *target*, made in a process that *start* starts.

    Raises:
        UnreadableDocument: LibreOffice is not installed, or cannot open it.
        ProcessEnded: it took too long, too much, or failed.
    """
    library = find_libreoffice(target)
    if library is None:
        raise UnreadableDocument(
            "It is of an old format, which is read by LibreOffice, and that is not installed here: "
            f"save it as {target.upper()}, or install {COMPONENTS[target][1]}."
        )
    with tempfile.TemporaryDirectory(prefix="pustaka-") as name:
        folder = Path(name).resolve()
        with start(_make_job(library, folder, limits)) as process:
            return _ask(process, {"library": str(library), "folder": str(folder), "target": target}, data, limits)


def _ask(process: SandboxedProcess, request: dict[str, object], data: bytes, limits: Limits) -> bytes:
    deadline = time.monotonic() + limits.timeout_s
    process.write_request(request | {"size_bytes": len(data)}, data, deadline)
    answer = read_answer(process.read_line(_ANSWER_BYTES, deadline), limits)
    if answer.converted_bytes is None or not 0 < answer.converted_bytes <= FILE_BYTES:
        raise UnreadableDocument(
            "LibreOffice cannot read it: it is damaged, or of a format that is older still. Open it in the "
            f"program that made it, and save it as {str(request['target']).upper()}."
        )
    return process.read(answer.converted_bytes, deadline)


def _make_job(library: Path, folder: Path, limits: Limits) -> SandboxJob:
    return SandboxJob(
        serve="ingestion.parsers.libreoffice_kit:convert",
        reads=(str(library.parents[1]), *_READS),
        writes=str(folder),
        memory_bytes=max(_MEMORY_BYTES, limits.memory_bytes),
        cpu_s=int(limits.timeout_s) + _CPU_SPARE_S,
    )
