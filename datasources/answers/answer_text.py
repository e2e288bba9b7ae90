"""An answer in a person's words to a question that rules have understood: a sentence, a table, what was understood."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from operator import itemgetter

from datasources.answers.cells import Units, write_amount, write_cell, write_label, write_row, write_table
from datasources.answers.describing import capitalize
from datasources.answers.phrases import Kind, Phrase, get_phrases, is_statement, read_plainly, speak_of_several
from datasources.answers.sentences import get_sentences
from datasources.questions.draft import Draft
from datasources.results import Result
from utils.formats import format_number

_MAX_NAMED = 3
_BE_ONE = {"are": "is", "were": "was", "have": "has"}


@dataclass(frozen=True, slots=True)
class AnswerFacts:
    """A question that was understood, and what its query gave; `run` is the draft with all that was selected, `units`
    those of columns."""

    question: str
    language: str
    understood: str
    draft: Draft
    run: Draft
    result: Result
    source_name: str
    units: Units = field(default_factory=dict)


def format_answer(facts: AnswerFacts, max_rows: int) -> list[str]:
    """The lines of the answer: a sentence, then of several rows a table of the first *max_rows*, then a note."""
    words, count = get_sentences("answer", facts.language), len(facts.result.rows)
    lines = [_write_sentence(facts)]
    if count > 1:
        table, in_table = write_table(facts.run, facts.result.rows[:max_rows], facts.language)
        lines += table
        if facts.result.truncated or facts.draft.limit == count != in_table:
            lines.append(words["first of more"].format(in_table))
        elif in_table < count:
            lines.append(words["first"].format(in_table, format_number(count, facts.language)))
    return [*lines, words["note"].format(facts.understood, facts.source_name)]


def _write_sentence(facts: AnswerFacts) -> str:
    draft, rows = facts.draft, facts.result.rows
    nothing = get_sentences("answer", facts.language)["nothing"]
    is_empty = not rows or (not draft.group and any(each.function for each in draft.select) and rows[0][-1] is None)
    if draft.group and draft.select and draft.limit is None:
        return _write_phrase(facts, "groups", {"summary": _summarize(facts)}) if rows else nothing
    if (draft.order and draft.limit) or draft.extreme:
        return _name(facts) if rows else nothing
    if is_empty:
        return _write_empty_result(facts, "rows")
    if any(each.function.startswith("COUNT") for each in draft.select):
        return _count(facts)
    if len(rows) == 1:
        return _write_single_row(facts)
    if not draft.lists_things:
        return f"{capitalize(facts.understood)}:"
    return _write_phrase(facts, "rows", {"n": format_number(len(rows), facts.language)})


def _count(facts: AnswerFacts) -> str:
    """How many rows: 15 machines are due this month."""
    count = int(str(facts.result.rows[0][0]))
    if not count:
        return _write_empty_result(facts, "count")
    return _write_phrase(facts, "count", {"n": format_number(count, facts.language)}, count)


def _name(facts: AnswerFacts) -> str:
    """The rows that have most of something, each with how much; of many the table tells."""
    rows = facts.result.rows
    if len(rows) > _MAX_NAMED:
        return _write_phrase(facts, "rows", {"n": format_number(len(rows), facts.language)})
    named = [write_row(row, facts.run.columns, facts.language, facts.units) for row in rows]
    return _write_phrase(facts, "named", {"names": ", ".join(named)})


def _write_single_row(facts: AnswerFacts) -> str:
    """The only row: what was asked of it, or its name with what decided."""
    [row] = facts.result.rows
    found = _find_phrase(facts, "value") if len(row) == 1 else None
    if found is not None:
        value = write_amount(row[0], facts.run.select[0], facts.language, facts.units)
        if value.split()[-1] in facts.question.split():  # the unit was asked for
            value = write_cell(row[0], facts.run.select[0], facts.language)
        is_day = value != row[0] and isinstance(row[0], str) and value[:1].isdigit()
        has_article = is_day and facts.language == "es" and "{verb}" in found[0].sentence
        return _write_phrase(facts, "value", {"value": f"el {value}" if has_article else value})
    return f"{write_row(row, facts.run.columns, facts.language, facts.units)}."


def _summarize(facts: AnswerFacts) -> str:
    """The largest and the smallest of the groups, and of numbers of rows all together."""
    words, draft, language = get_sentences("answer", facts.language), facts.draft, facts.language
    figures = [(row, float(row[-1])) for row in facts.result.rows if isinstance(row[-1], int | float)]
    if not figures:
        return words["unknown"]
    measure, by = draft.select[-1], draft.columns[0]
    largest, smallest = (end(figures, key=itemgetter(1))[0] for end in (max, min))
    if largest[-1] == smallest[-1]:
        return words["same"].format(
            write_amount(largest[-1], measure, language, facts.units), format_number(len(figures), language)
        )
    ends = [
        text
        for row in (largest, smallest)
        for text in (write_label(row[0], by, language), write_amount(row[-1], measure, language, facts.units))
    ]
    if measure.function == "COUNT" and not facts.result.truncated:
        return words["sum"].format(format_number(sum(figure for _, figure in figures), language), *ends)
    return words["range"].format(*ends)


def _write_phrase(facts: AnswerFacts, kind: Kind, of_result: Mapping[str, str], count: int = 2) -> str:
    """The sentence in the question's own words, else what was understood with the value behind it."""
    found = _find_phrase(facts, kind)
    value = next(iter(of_result.values()))
    if found is None:
        bare = read_plainly(facts.question)
        what = bare if bare and is_statement(bare) else facts.understood
        if kind != "rows":
            return f"{capitalize(what)}: {value}."
        return f"{capitalize(what)}:" if value in what.split() else f"{capitalize(what)} ({value}):"
    phrase, own = found
    if kind == "named" and len(facts.result.rows) > 1:
        own["rest"] = speak_of_several(own["rest"], facts.language)
    if count == 1:
        own["Understood"] = capitalize(facts.understood)
        return _write_singular(phrase, own, facts.language)
    return phrase.sentence.format(**own, **of_result)


def _write_empty_result(facts: AnswerFacts, kind: Kind) -> str:
    phrase = _find_phrase(facts, kind)
    nothing = get_sentences("answer", facts.language)["nothing"]
    return phrase[0].none.format(**phrase[1]) if phrase and phrase[0].none else nothing


def _write_singular(phrase: Phrase, own: Mapping[str, str], language: str) -> str:
    """How one of them is told: "1 machine is due", else "Machines that need maintenance: 1"."""
    if phrase.one or language == "id":
        return (phrase.one or phrase.sentence).format(**own, n=1)
    words = own["what"].split()
    verb = next((index for index, word in enumerate(words) if word in _BE_ONE), 0)
    if not verb or not words[0].endswith("s"):
        return f"{own['What']}: 1."
    words[0], words[verb] = words[0].removesuffix("s"), _BE_ONE[words[verb]]
    return phrase.sentence.format(**{**own, "what": " ".join(words)}, n=1)


def _find_phrase(facts: AnswerFacts, kind: Kind) -> tuple[Phrase, dict[str, str]] | None:
    """The first that the question has the form of, and its own words in it."""
    bare = read_plainly(facts.question)
    for phrase in get_phrases(kind, facts.language) if bare else ():
        if match := phrase.pattern.fullmatch(bare):
            own = {name: text or "" for name, text in match.groupdict().items()}
            what = own.get("what", "")
            begins = bool(what) and bare.startswith(what) and not what.split()[0][1:].isupper()
            own["what"] = what[:1].lower() + what[1:] if begins else what  # it follows the number
            return phrase, {**own, "What": capitalize(what), "rest": own.get("rest", "")}
    return None
