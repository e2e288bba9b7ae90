"""Runs as people read them."""

from collections.abc import Iterator

from evaluation.measures import Figure
from evaluation.runs import Run, RunComparison

_QUESTIONS_SHOWN = 10
_MAX_COLUMNS = 5


def make_table(run: Run) -> str:
    """A row a measure, a column a group of questions, with the mean and its range; a row a group where they are many,
    with the mean alone.
    """
    groups, measures = list(run.figures), list(run.figures["all"])
    rows = [["", *groups]]
    for measure in measures:
        rows.append([measure, *(_format_cell(run.figures[group].get(measure)) for group in groups)])
    if len(groups) > _MAX_COLUMNS:
        rows = [["", *measures]] + [
            [group, *(_format_mean(run.figures[group].get(measure)) for measure in measures)] for group in groups
        ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def describe_difference(comparison: RunComparison) -> str:
    """What moved since the run before; `*` marks what is more than chance."""
    return "\n".join(_make_lines(comparison))


def _make_lines(comparison: RunComparison) -> Iterator[str]:
    moved = [change for change in comparison.changes if change.before != change.now]
    yield f"Against the run of {comparison.before}:" + ("" if moved else " the same.")
    for change in moved:
        sure = " *" if change.is_sure else ""
        yield f"  {change.measure}: {change.before:.4f} → {change.now:.4f} over {change.n} questions{sure}"
    for word, questions in (("Not found any more", comparison.lost), ("Found now", comparison.gained)):
        if questions:
            yield f"  {word} ({len(questions)}):"
            yield from (f"    {question}" for question in questions[:_QUESTIONS_SHOWN])


def _format_mean(figure: Figure | None) -> str:
    return f"{figure.value:.3f}" if figure else "–"


def _format_cell(figure: Figure | None) -> str:
    return f"{figure.value:.3f} ({figure.low:.3f}–{figure.high:.3f}, n={figure.n})" if figure else "–"
