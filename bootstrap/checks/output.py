"""Findings for people, as a table of at most 100 columns, and for programs, as JSON: standard library alone."""

import json
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict

from utils.findings import Finding, Level

Groups = Mapping[str, Sequence[Finding]]
WIDTH = 100
_LEVEL_WIDTH = 7
_LONGEST_NAME = 26
_COLOURS = {Level.OK: "32", Level.SKIPPED: "2", Level.WARNING: "33", Level.FAILURE: "1;31"}


def count_levels(groups: Groups) -> dict[Level, int]:
    """How many findings there are of each level."""
    levels = [finding.level for findings in groups.values() for finding in findings]
    return {level: levels.count(level) for level in Level}


def format_json(groups: Groups, *, passed: bool, seconds: float) -> str:
    """One JSON object: `passed`, `counts`, `seconds`, and `checks` with group, check, level, found and remedy each."""
    rows = [{"group": group, **asdict(finding)} for group, findings in groups.items() for finding in findings]
    whole = {"passed": passed, "seconds": round(seconds, 2), "counts": count_levels(groups), "checks": rows}
    return json.dumps(whole, indent=2)


def format_table(groups: Groups, *, passed: bool, seconds: float, width: int = WIDTH, coloured: bool = False) -> str:
    """A table with a heading for each group and a line of counts at the end."""
    findings = [finding for listed in groups.values() for finding in listed]
    name_width = min(_LONGEST_NAME, max((len(finding.check) for finding in findings), default=5))
    lines = [f"{'check':{name_width}}  {'result':{_LEVEL_WIDTH}}  found, and → what to do"]
    for group, listed in groups.items():
        if not listed:  # such as a model that is not set
            continue
        lines += ["", _paint(group, "1", coloured)]
        for finding in listed:
            lines += _format_row(finding, name_width, width, coloured)
    return "\n".join([*lines, "", *_wrap(_summarize(groups, passed=passed, seconds=seconds), width)])


def _format_row(finding: Finding, name_width: int, width: int, coloured: bool) -> Iterator[str]:
    room = max(20, width - name_width - _LEVEL_WIDTH - 4)
    names = textwrap.wrap(finding.check, name_width) or [""]
    texts = _wrap(finding.found, room)
    if finding.remedy:
        first, *rest = _wrap(finding.remedy, room - 2)
        texts += [f"→ {first}", *(f"  {line}" for line in rest)]
    for index in range(max(len(names), len(texts))):
        level = _paint(f"{finding.level:{_LEVEL_WIDTH}}", _COLOURS[finding.level], coloured) if index == 0 else ""
        name, text = names[index] if index < len(names) else "", texts[index] if index < len(texts) else ""
        yield f"{name:{name_width}}  {level or ' ' * _LEVEL_WIDTH}  {text}".rstrip()


def _wrap(text: str, room: int) -> list[str]:
    # Addresses and paths are copied: they stay whole as long as they fit.
    return textwrap.wrap(" ".join(text.split()), room, break_on_hyphens=False) or [""]


def _paint(text: str, colour: str, coloured: bool) -> str:
    return f"\x1b[{colour}m{text}\x1b[0m" if coloured else text


def _summarize(groups: Groups, *, passed: bool, seconds: float) -> str:
    of = count_levels(groups)
    parts = [f"{sum(of.values())} checks in {seconds:.1f} s: {of[Level.OK]} ok"]
    others = [level for level in (Level.FAILURE, Level.WARNING, Level.SKIPPED) if of[level]]
    parts += [f"{of[level]} {_pluralize(level, of[level])}" for level in others]
    return f"{', '.join(parts)}. {'The installation can be used.' if passed else 'The installation is not in order.'}"


def _pluralize(level: Level, number: int) -> str:
    return level if number == 1 or level is Level.SKIPPED else {"FAILURE": "FAILURES", "warning": "warnings"}[level]
