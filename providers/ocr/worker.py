"""What a process in the sandbox does to recognise text by RapidOCR: `rapid_process.py` asks."""

import json
from typing import BinaryIO

import numpy as np

from utils.ports import TextRecogniser

_loaded: list[TextRecogniser] = []  # by `prepare`, for `serve`, in a process of one document


def prepare() -> None:
    """Load the models, and start the one thread of their engine: afterwards there can be no others."""
    import cv2  # here, since only a process that was made for it needs them

    from providers.ocr.rapid import RapidOcr

    cv2.setNumThreads(0)  # its own threads would begin with the first picture
    _loaded.append(RapidOcr())


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """Answer each picture, a line of JSON with its height and width and then its pixels, with its text as a line."""
    while header := requests.readline():
        size = json.loads(header)
        pixels = requests.read(size["height"] * size["width"] * 3)
        picture = np.frombuffer(pixels, np.uint8).reshape(size["height"], size["width"], 3)
        try:
            answer = {"text": _loaded[0].recognise(picture)}
        except Exception as exc:  # whatever the engine raises, for want of memory most likely
            answer = {"broken": f"{type(exc).__name__}: {exc}"[:500]}
        answers.write(json.dumps(answer).encode() + b"\n")
        answers.flush()
