"""Neighbouring passages as one: what was cut apart when the document was taken in is read together."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from utils.passages import Hit, Passage

# Between two passages of a section stand a blank line, nothing, or one character: of that nothing tells whether it is a
# space or the end of a line, and a quote over it would not be word for word what the document says.
_BETWEEN = {0: "", 2: "\n\n"}
LONGEST_JOINED = 4000  # characters, so that one document does not take the whole prompt


def join_neighbours(hits: Iterable[Hit], *, limit: int) -> list[Hit]:
    """The first *limit* passages of *hits*, best first, neighbours among them made one at the place of the better.

    Neighbours are of one page and heading of a document. Joined they keep the id and the scores of the better one.
    """
    kept: list[Hit] = []
    for hit in hits:
        if len(kept) == limit:
            break
        kept.append(hit)
        _settle(kept)
    return kept


def _settle(kept: list[Hit]) -> None:
    """Join the last of *kept* with those it touches; it may close the gap between two."""
    at = len(kept) - 1
    while (found := _neighbour(kept, at)) is not None:
        other, together = found
        at, gone = sorted((at, other))
        kept[at] = replace(kept[at], passage=together)
        del kept[gone]


def _neighbour(kept: Sequence[Hit], at: int) -> tuple[int, Passage] | None:
    """Another of *kept* that the one *at* a place touches, and both as one passage."""
    for other in range(len(kept)):
        first, second = sorted((at, other))
        if first != second and (together := _joint(kept[first].passage, kept[second].passage)):
            return other, together
    return None


def _joint(one: Passage, other: Passage) -> Passage | None:
    """Both as one passage under the id of *one*, None if they are no neighbours or too long together."""
    former, latter = (one, other) if one.start <= other.start else (other, one)
    between = _BETWEEN.get(latter.start - former.end)
    if between is None or _place(one) != _place(other):
        return None
    text = former.text + between + latter.text
    if len(text) > LONGEST_JOINED:
        return None
    seams = (
        *former.seams,
        *([len(former.text)] if between else []),
        *_move(latter.seams, len(text) - len(latter.text)),
    )
    return replace(one, start=former.start, end=latter.end, text=text, seams=seams)


def _move(seams: Iterable[int], by: int) -> Iterator[int]:
    return (seam + by for seam in seams)


def _place(passage: Passage) -> tuple[object, ...]:
    return passage.document_id, passage.version, passage.page, passage.heading
