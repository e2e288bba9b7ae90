"""RapidOCR in a process of the sandbox: pixels in, text out. Its packages are not imported in the service."""

import json
import time

from providers.ocr.recogniser import RecognitionLimits, Start
from utils.ports import Picture
from utils.sandbox.jobs import SandboxJob
from utils.sandbox.process import ProcessEnded, SandboxedProcess

_LONGEST_TEXT_BYTES = 1_000_000
# Not onnxruntime, which starts a thread when it is imported.
_PRELOAD = ("providers.ocr.rapid", "rapidocr.main", "cv2")


class RapidOcrProcess:
    """A `TextRecogniser` for the pages of one document; its process begins with the first of them."""

    def __init__(self, start: Start, allowance: RecognitionLimits) -> None:
        self._start, self._allowance = start, allowance
        self._process: SandboxedProcess | None = None

    def recognise(self, picture: Picture) -> str | None:
        """See `TextRecogniser`.

        Raises:
            ProcessEnded: it failed, or took too long.
        """
        height, width, _ = picture.shape
        process = self._process = self._process or self._start(self._make_job())
        deadline = time.monotonic() + self._allowance.page_s
        process.write_request({"height": height, "width": width}, picture.tobytes(), deadline)
        answer = json.loads(process.read_line(_LONGEST_TEXT_BYTES, deadline))
        if not isinstance(answer, dict) or not isinstance(answer.get("text", answer), str | None):
            raise ProcessEnded("crash", str(answer)[:500])
        text: str | None = answer["text"]
        return text

    def close(self) -> None:
        """End its process."""
        process, self._process = self._process, None
        if process is not None:
            process.close()

    def _make_job(self) -> SandboxJob:
        return SandboxJob(
            serve="providers.ocr.worker:serve",
            prepare="providers.ocr.worker:prepare",
            preload=_PRELOAD,
            memory_bytes=self._allowance.memory_bytes,
            cpu_s=self._allowance.cpu_s,
        )
