"""Whether two sentences of different documents say the same with another value."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from agents.conflicts.statements import Scope, Statement, find_statements
from agents.conflicts.values import COUNT, NUMBER, Value
from utils.passages import Passage

_MIN_SHARED = 2  # words of what both are about; fewer only under headings that have words in common
_DAYS_OF_MOST = 5  # of the week: so many hold for whoever names no day
_VENUES = ("room", "building", "floor", "counter", "code")
_MOMENTS = ("clock", "date")


@dataclass(frozen=True, slots=True)
class Difference:
    """Two sentences that do not fit together, and in what: a kind of value, such as `clock`."""

    one: Statement
    other: Statement
    kind: str


def find_differences(one: Passage, other: Passage) -> Iterator[Difference]:
    """The sentences of both that say the same with another value, each sentence of *one* once."""
    if one.language != other.language or one.document_id == other.document_id:
        return
    statements = find_statements(other)
    for statement in find_statements(one):
        kinds = ((each, compare(statement, each)) for each in statements if _is_near(statement, each))
        yield from [Difference(statement, each, kind) for each, kind in kinds if kind][:1]


def compare(one: Statement, other: Statement) -> str:
    """The kind of value in which both differ, though they speak of the same; "" where they do not."""
    if one.is_vague or other.is_vague or one.is_denied != other.is_denied:
        return ""
    if not _is_same_scope(one, other) or not _is_same_subject(one, other):
        return ""
    kinds = _list_differing_kinds(one, other)
    if not kinds or (any(kind in _VENUES for kind in kinds) and any(kind in _MOMENTS for kind in kinds)):
        return ""
    return NUMBER if kinds[0].startswith(COUNT) else kinds[0]


def _is_near(one: Statement, other: Statement) -> bool:
    """A quick look, which most pairs do not pass."""
    return not one.about.isdisjoint(other.about | other.around) or not other.about.isdisjoint(one.around)


def _is_same_subject(one: Statement, other: Statement) -> bool:
    direct = one.about & other.about
    rest_ours, rest_theirs = one.about - other.about, other.about - one.about
    only_ours, only_theirs = rest_ours - other.around - other.added, rest_theirs - one.around - one.added
    if (only_ours and only_theirs) or ((one.is_row or other.is_row) and (only_ours or only_theirs)):
        return False
    # Said in a heading there, in the sentence here.
    shared = len(direct) + len(rest_ours) - len(only_ours) + len(rest_theirs) - len(only_theirs)
    if max(len(only_ours), len(only_theirs)) > max(1, shared) or not (direct or not one.about or not other.about):
        return False
    met = (one.about & (other.about | other.around)) | (other.about & one.around)
    if not direct and not met:
        return False
    is_condition = one.is_condition or other.is_condition
    if (is_condition or not met & one.named & other.named) and not (one.around & other.around & one.named):
        return False
    return shared >= _MIN_SHARED or (shared > 0 and not one.around.isdisjoint(other.around))


def _is_same_scope(one: Statement, other: Statement) -> bool:
    ours, theirs = _join(one.scope, one.context), _join(other.scope, other.context)
    if _are_apart(ours.alternatives, theirs.alternatives) or _are_apart(one.scope.opposites, other.scope.opposites):
        return False
    if _are_apart(ours.owners, theirs.owners) or not _are_of_same_years(one, other):
        return False
    # What only one of the two sentences narrows itself to, and nothing around the other one does.
    return not (
        one.scope.alternatives - theirs.alternatives
        or other.scope.alternatives - ours.alternatives
        or one.scope.owners - theirs.owners
        or other.scope.owners - ours.owners
    )


def _are_of_same_years(one: Statement, other: Statement) -> bool:
    """Whether both may hold for the same year; "Fees 2025" and "Fees 2026" are the older and the newer of one text."""
    is_series = one.series == other.series and one.edition and other.edition
    of_titles = one.edition | other.edition if is_series else frozenset[int]()
    ours, theirs = ((each.scope.years | each.context.years) - of_titles for each in (one, other))
    if ours and theirs and ours.isdisjoint(theirs):
        return False
    return not ((one.scope.years - of_titles) - theirs or (other.scope.years - of_titles) - ours)


def _join(one: Scope, other: Scope) -> Scope:
    return Scope(
        one.alternatives | other.alternatives,
        one.opposites | other.opposites,
        one.owners | other.owners,
        one.years | other.years,
    )


def _are_apart(ours: frozenset[tuple[object, object]], theirs: frozenset[tuple[object, object]]) -> bool:
    """Whether both name something of one group, and nothing the same."""
    groups = {group for group, _ in ours} & {group for group, _ in theirs}
    return any(
        {each for each in ours if each[0] == group}.isdisjoint(each for each in theirs if each[0] == group)
        for group in groups
    )


def _list_differing_kinds(one: Statement, other: Statement) -> list[str]:
    ours, theirs = one.stated, other.stated
    both = sorted(ours.values.keys() & theirs.values.keys())
    kinds = [kind for kind in both if _differ(kind, ours.values[kind], theirs.values[kind])]
    if ours.weekdays == theirs.weekdays:
        return kinds
    if not ours.weekdays or not theirs.weekdays:
        return kinds if len(ours.weekdays | theirs.weekdays) >= _DAYS_OF_MOST else []
    if ours.weekdays.isdisjoint(theirs.weekdays):
        return [] if kinds or _have_values(one, other) else ["weekday"]
    return kinds or (["weekday"] if ours.values.keys() == theirs.values.keys() else [])


def _have_values(one: Statement, other: Statement) -> bool:
    return bool(one.stated.values or other.stated.values)


def _differ(kind: str, ours: Sequence[Value], theirs: Sequence[Value]) -> bool:
    if kind == "date":
        return len(ours) == len(theirs) and any(map(_are_other_days, ours, theirs))
    if kind == "person":
        return not any(mine.agrees(each) for mine in ours for each in theirs)
    if len(ours) != len(theirs):
        return kind in _MOMENTS and not any(mine.agrees(each) for mine in ours for each in theirs)
    return any(not mine.agrees(each) for mine, each in zip(ours, theirs, strict=True))


def _are_other_days(one: Value, other: Value) -> bool:
    """Whether two dates are other days of the same year, or of years that are not said."""
    pairs = [(mine, theirs) for mine in one.meanings for theirs in other.meanings]
    return not any(_may_be_same_day(mine, theirs) for mine, theirs in pairs) and any(
        _may_be_same_year(mine, theirs) for mine, theirs in pairs
    )


def _may_be_same_day(one: object, other: object) -> bool:
    assert isinstance(one, tuple) and isinstance(other, tuple)  # noqa: S101, PT018 - as `values` makes them
    return all(mine is None or theirs is None or mine == theirs for mine, theirs in zip(one, other, strict=True))


def _may_be_same_year(one: object, other: object) -> bool:
    assert isinstance(one, tuple) and isinstance(other, tuple)  # noqa: S101, PT018 - as above
    return one[0] is None or other[0] is None or one[0] == other[0]
