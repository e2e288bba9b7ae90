"""Tesseract, a program of the operating system: a process a page, pictures in and text out through pipes."""

import re
import shutil
import subprocess
from collections.abc import Sequence

from utils.errors import ProviderUnavailable
from utils.ports import Picture

AUTOMATIC = "3"  # tesseract --help-psm
PAGE_S = 40.0
GAPS = re.compile(r"\n{3,}")


class Tesseract:
    """A `TextRecogniser` of the given languages, by Tesseract's three-letter names."""

    def __init__(self, languages: Sequence[str]) -> None:
        self._program = shutil.which("tesseract") or "tesseract"
        self._languages = "+".join(languages)

    def recognise(self, picture: Picture) -> str:
        """See `TextRecogniser`.

        Raises:
            ProviderUnavailable: Tesseract failed, or took longer than 40 s.
        """
        height, width, _ = picture.shape
        bitmap = b"P6 %d %d 255\n" % (width, height) + picture.tobytes()  # PPM (netpbm.sourceforge.net/doc/ppm.html)
        command = [self._program, "stdin", "stdout", "-l", self._languages, "--psm", AUTOMATIC, "--dpi", "200"]
        try:
            # More threads than one make it slower: they wait for each other.
            done = subprocess.run(  # noqa: S603 - our own words alone
                command,
                input=bitmap,
                capture_output=True,
                timeout=PAGE_S,
                check=True,
                env={"OMP_THREAD_LIMIT": "1", "PATH": "/usr/bin:/bin"},
            )
        except (OSError, subprocess.SubprocessError) as exc:
            raise ProviderUnavailable("Tesseract could not read the picture.") from exc
        return GAPS.sub("\n\n", done.stdout.decode("utf-8", "replace").replace("\f", "")).strip()
