"""Files of old formats, converted by LibreOffice where it is installed: in a process of the sandbox for each."""

import json
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ingestion.parsers.answers import read_answer
from ingestion.parsers.parsed import Limits, Target
from utils.errors import UnreadableDocument
from utils.sandbox.jobs import FILE_BYTES, SandboxJob
from utils.sandbox.sandbox import SandboxedProcess

LIBRARIES = ("libmergedlo.so", "libsofficeapp.so")  # one of them has the interface, by how LibreOffice was built
# By what is converted to: a folder that belongs to what opens such files, and Debian's package with it. It lays out
# windows that nobody sees: packages without their descriptions ("nogui") fail on every document with remarks.
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
_MEMORY_BYTES = 2_000_000_000  # addresses; its libraries and their threads take a quarter of that with no file
_CPU_SPARE_S = 10
_ANSWER_BYTES = 1_000

Start = Callable[[SandboxJob], SandboxedProcess]


def find_libreoffice(target: Target) -> Path | None:
    """The library that LibreOffice is, if what it needs to convert to *target* is installed beside it."""
    program = shutil.which("soffice") or shutil.which("libreoffice")
    if program is None:
        return None
    folder = Path(program).resolve().parent
    library = next((folder / name for name in LIBRARIES if (folder / name).is_file()), None)
    return library if (folder.parent / COMPONENTS[target][0]).is_dir() else None


@dataclass(frozen=True, slots=True)
class Converter:
    """Converts with what *start* starts."""

    start: Start
    limits: Limits

    def convert(self, data: bytes, target: Target) -> bytes:
        """The file in *data* as *target*.

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
        with tempfile.TemporaryDirectory(prefix="pustaka-") as folder:
            return self._convert(data, target, library, Path(folder).resolve())

    def _convert(self, data: bytes, target: Target, library: Path, folder: Path) -> bytes:
        deadline = time.monotonic() + self.limits.timeout_s
        header = {"library": str(library), "folder": str(folder), "target": target, "size_bytes": len(data)}
        with self.start(self._job(library, folder)) as process:
            process.write(json.dumps(header).encode() + b"\n" + data, deadline)
            answer = read_answer(process.read_line(_ANSWER_BYTES, deadline), self.limits)
            if answer.converted_bytes is None or not 0 < answer.converted_bytes <= FILE_BYTES:
                raise UnreadableDocument(
                    f"LibreOffice cannot read it: it is damaged, or of a format that is older still. Open it in the "
                    f"program that made it, and save it as {target.upper()}."
                )
            return process.read(answer.converted_bytes, deadline)

    def _job(self, library: Path, folder: Path) -> SandboxJob:
        return SandboxJob(
            serve="ingestion.parsers.libreoffice_kit:convert",
            reads=(str(library.parents[1]), *_READS),
            writes=str(folder),
            memory_bytes=max(_MEMORY_BYTES, self.limits.memory_bytes),
            cpu_s=int(self.limits.timeout_s) + _CPU_SPARE_S,
        )
