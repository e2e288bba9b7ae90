"""Which rows a figure is about, by where their names stand in the sentence."""

from collections.abc import Sequence
from dataclasses import dataclass

from agents.verification.figures.reading import Figure, Mention, ReadSentence
from agents.verification.figures.words import Cue

_NEAR = 6  # characters


@dataclass(frozen=True, slots=True)
class Binding:
    """What a figure is about: `rows`, None where the sentence names none; `is_close`: they are named beside it.

    `named`: all rows that the sentence names. `cue`: what the nearest words say that it is, `cues` those beside it;
    `is_about`: whether they say that it is rounded.
    """

    rows: frozenset[int] | None
    is_close: bool
    named: tuple[frozenset[int], ...]
    cue: Cue | None
    cues: frozenset[Cue]
    is_about: bool


def bind_figures(sentence: ReadSentence) -> list[Binding]:
    """The binding of each figure of *sentence*, in their order."""
    spans = [(each.start, each.end) for each in sentence.figures]
    paired = _pair_in_order(spans, sentence.mentions)
    named = tuple(dict.fromkeys(mention.rows for mention in sentence.mentions))
    result = []
    for index, figure in enumerate(sentence.figures):
        rows, is_close = (paired[index], True) if paired else find_rows(figure.start, sentence)
        cue, cues = _find_cue(index, sentence)
        result.append(Binding(rows, is_close, named, cue, cues, _is_about(figure, sentence)))
    return result


def find_rows(place: int, sentence: ReadSentence) -> tuple[frozenset[int] | None, bool]:
    """The rows that what stands at *place* is about, and whether they are named in the same part of the sentence."""
    start, end = _find_part(place, sentence)
    here = [each for each in sentence.mentions if start <= each.start < end]
    if here:
        return _join(place, here), True
    before = [each for each in sentence.mentions if each.start < place]
    after = [each for each in sentence.mentions if each.start > place]
    nearest = before[-1:] or after[:1]
    return (nearest[0].rows if nearest else None), False


def _pair_in_order(spans: Sequence[tuple[int, int]], mentions: Sequence[Mention]) -> list[frozenset[int]]:
    """The rows of each figure in "Bandung and Medan have 12 and 9"; empty where the sentence is no such one."""
    if len(spans) != len(mentions) or len(spans) < 2:
        return []
    is_before = mentions[-1].start < spans[0][0] or spans[-1][0] < mentions[0].start
    return [mention.rows for mention in mentions] if is_before else []


def _find_part(place: int, sentence: ReadSentence) -> tuple[int, int]:
    before = [at for at in sentence.separators if at < place]
    after = [at for at in sentence.separators if at >= place]
    return (before[-1] if before else 0), (after[0] if after else len(sentence.text))


def _join(place: int, here: Sequence[Mention]) -> frozenset[int]:
    """The rows of the nearest name, as far as others beside it name the same: "pumps in Bandung"."""
    nearest, *others = sorted(here, key=lambda each: abs(each.start - place))
    rows = nearest.rows
    for other in others:
        rows = rows & other.rows or rows
    return rows


def _find_cue(index: int, sentence: ReadSentence) -> tuple[Cue | None, frozenset[Cue]]:
    """The cue that stands nearest in the part of the figure, else between it and its neighbours; and all of these."""
    figure = sentence.figures[index]
    cues = [each for each in sentence.cues if each[0] != "about"]
    start, end = _find_part(figure.start, sentence)
    before = sentence.figures[index - 1].end if index else 0
    after = sentence.figures[index + 1].start if index + 1 < len(sentence.figures) else len(sentence.text)
    # In a part with several figures each takes the words up to its neighbours.
    own = [each for each in cues if max(start, before) <= each[1] < min(end, after)]
    near = (
        own
        or [each for each in cues if before <= each[1] < figure.start]
        or [each for each in cues if figure.start < each[1] < after]
    )
    best = min(near, key=lambda each: _measure(each, figure), default=None)
    return (best[0] if best else None), frozenset(each[0] for each in near)


def _measure(cue: tuple[Cue, int, int], figure: Figure) -> int:
    return figure.start - cue[2] if cue[1] < figure.start else cue[1] - figure.end


def _is_about(figure: Figure, sentence: ReadSentence) -> bool:
    """Whether a word such as "about" stands before it, with at most a short word between."""
    return any(cue == "about" and 0 <= figure.start - end <= _NEAR for cue, _, end in sentence.cues)
