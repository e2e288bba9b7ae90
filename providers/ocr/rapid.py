"""RapidOCR: PaddleOCR's models on ONNX Runtime, all of it in Python packages."""

from statistics import fmean, median

import numpy as np
from rapidocr import RapidOCR
from rapidocr.utils.output import RapidOCROutput

from providers.ocr.columns import Line, split_columns
from utils.ports import Picture

# Lines are looked for in a smaller picture and read one by one, on one core: a third of the processor time and half the
# memory of the defaults, and fewer words wrong. The classifier of lines that stand on their head is wrong more often
# than scans are.
PARAMETERS = {
    "Global.use_cls": False,
    "Global.log_level": "error",
    "Det.limit_type": "max",
    "Det.limit_side_len": 960,
    "Rec.rec_batch_num": 1,
    "EngineConfig.onnxruntime.intra_op_num_threads": 1,
    "EngineConfig.onnxruntime.inter_op_num_threads": 1,
}
SURE = 0.8  # score of a line, and mean score of a page that is the right way up
TALL = 1.5  # times as high as wide: a line that runs up or down
PARAGRAPH_GAP = 0.9  # of a line's height
# Of letters that it does not know it leaves most out, or takes them for others and is unsure. Of good and bad scans in
# English, French, Chinese and Japanese no line is such, of Russian, Greek, Arabic, Hebrew, Thai and Korean a third is.
MAX_DOUBTFUL = 0.2  # of all lines, by their length
MIN_CHARACTERS = 0.8  # to a square: Latin has 2.5 or more, Chinese 1.2


class RapidOcr:
    """A `TextRecogniser` for Latin, Chinese and Japanese letters."""

    def __init__(self) -> None:
        self._engine = RapidOCR(params=PARAMETERS)

    def recognise(self, picture: Picture) -> str | None:
        """See `TextRecogniser`. A page that lies on its side or its head is turned."""
        lines = self._read_lines(picture)
        tall = sum(line.bottom - line.top > TALL * (line.right - line.left) for line in lines if len(line.text) > 1)
        if 2 * tall > len(lines):
            lines = max((self._read_lines(np.rot90(picture, turn)) for turn in (1, 3)), key=_measure_worth)
        elif lines and fmean(line.score for line in lines) < SURE:
            lines = max((lines, self._read_lines(np.rot90(picture, 2))), key=_measure_worth)
        if not _is_legible(lines):
            return None
        return "\n\n".join("\n".join(_join_rows(_sort_into_rows(block))) for block in split_columns(lines))

    def _read_lines(self, picture: Picture) -> list[Line]:
        lines = self._engine(np.ascontiguousarray(picture[:, :, ::-1]))  # it takes blue, green, red
        if not isinstance(lines, RapidOCROutput) or lines.boxes is None:
            return []
        corners = np.asarray(lines.boxes, dtype=float)  # (lines, 4, 2)
        sides = np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1).tolist()
        return [
            Line(text, float(score), *box)
            for text, score, box in zip(lines.txts or (), lines.scores or (), sides, strict=True)
            if text.strip()
        ]


def _is_legible(lines: list[Line]) -> bool:
    """Whether the letters are such as it knows."""
    doubtful = sum(line.width for line in lines if _is_doubtful(line))
    return doubtful <= MAX_DOUBTFUL * sum(line.width for line in lines)


def _is_doubtful(line: Line) -> bool:
    return line.score < SURE or len(line.text) * line.height < MIN_CHARACTERS * line.width


def _measure_worth(lines: list[Line]) -> float:
    """Letters, weighed by how sure each line is."""
    return sum(len(line.text) * line.score**2 for line in lines)


def _sort_into_rows(lines: list[Line]) -> list[list[Line]]:
    """Rows from the top, each from the left: pieces of a line that are far from each other are found apart."""
    rows: list[list[Line]] = []
    for line in sorted(lines, key=lambda line: line.top + line.bottom):
        middle = (line.top + line.bottom) / 2
        last = rows[-1][0] if rows else None
        if last is not None and last.top < middle < last.bottom:
            rows[-1].append(line)
        else:
            rows.append([line])
    return [sorted(row, key=lambda line: line.left) for row in rows]


def _join_rows(rows: list[list[Line]]) -> list[str]:
    """A text a row, an empty one where the page leaves room."""
    height = median(line.bottom - line.top for row in rows for line in row) if rows else 0.0
    texts: list[str] = []
    bottom = float("inf")
    for row in rows:
        if min(line.top for line in row) - bottom > PARAGRAPH_GAP * height:
            texts.append("")
        texts.append(" ".join(line.text.strip() for line in row))
        bottom = max(line.bottom for line in row)
    return texts
