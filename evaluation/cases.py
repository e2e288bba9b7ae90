"""Question sets: ours in YAML, the same fields a line in JSONL, and public ones of a corpus and queries.

name: handbook                                  # default: the file's name
floors: {recall@5: 0.95, id.refused_absent: 0.8}  # of all questions, or of those in one language
questions:
  - question: How much is a single room?
    language: en
    document: student-dormitory.md              # the end of its source, or its title; a list: any of them
    answer: IDR 950,000                         # what a right passage or answer holds; a list: any of them
  - question: Who is the rector?
    language: en
    unanswerable: true
    near_miss: true                             # its subject is in the documents, the answer is not
  - question: And for a double?
    kind: follow-up                             # a group of the report
    after: [How much is a single room?]         # asked before it, in one conversation
    document: student-dormitory.md
    facts: [[1,400,000, 1.400.000], [month]]    # of each group one must be in the answer
    contradicted_by: [IDR 950,000]              # shows a wrong answer
  - question: Hello!
    small_talk: true
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from utils.errors import BadInput
from utils.validation import LONGEST_MESSAGE, describe_error

MAX_CASES = 20_000
_LARGEST_FILE = 64 * 2**20
_QUERIES, _CORPUS = ".queries.jsonl", ".corpus.jsonl"
Json = dict[str, Any]


def _make_list(value: object) -> object:
    return [value] if isinstance(value, str) else value


Texts = Annotated[list[Annotated[str, Field(min_length=1)]], BeforeValidator(_make_list)]


class Case(BaseModel):
    """A question and what a right passage is: of one of `document`, and with one of `answer` in it, where given."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    question: str = Field(min_length=1, max_length=LONGEST_MESSAGE)
    language: str = Field(default="", max_length=8)
    document: Texts = []
    answer: Texts = []
    unanswerable: bool = False
    near_miss: bool = False
    small_talk: bool = False
    kind: str = Field(default="", max_length=40)
    after: Texts = []
    facts: list[Texts] = []
    contradicted_by: Texts = []

    @model_validator(mode="after")
    def _says_what_is_right(self) -> "Case":
        if sum((self.unanswerable, self.small_talk, bool(self.document or self.answer or self.facts))) != 1:
            raise ValueError("needs a document, an answer or facts, or is unanswerable or small_talk")
        if self.near_miss and not self.unanswerable:
            raise ValueError("near_miss is for unanswerable questions")
        return self


@dataclass(frozen=True, slots=True)
class QuestionSet:
    """Questions over the tenant's documents, or over a *corpus* of their own: rows with id, title, lang and text."""

    name: str
    cases: Sequence[Case]
    floors: Mapping[str, float] = field(default_factory=dict)
    corpus: Sequence[Json] = ()


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str = Field("", max_length=100, pattern=r"^[A-Za-z0-9._-]*$")
    floors: dict[str, float] = {}
    questions: list[Case] = Field(min_length=1, max_length=MAX_CASES)


def load_set(path: Path) -> QuestionSet:
    """The set in a YAML or JSONL file, or the public one that *path* with `.queries.jsonl` and `.corpus.jsonl` names.

    Raises:
        BadInput: there is none, or it is not in one of the formats; the message says where.
    """
    stem = path.name.removesuffix(_QUERIES)
    if path.with_name(f"{stem}{_QUERIES}").is_file():
        try:
            return _load_public(path.with_name(stem))
        except (KeyError, TypeError, ValidationError) as exc:
            raise BadInput(f"{path}: its rows are not those of a public set ({type(exc).__name__}: {exc}).") from exc
    if not path.is_file():
        raise BadInput(f"There is no question set {path}: name a YAML or JSONL file, or <set> beside <set>{_QUERIES}.")
    if path.suffix == ".jsonl":
        return _check(path, {"questions": _read_lines(path)})
    try:
        loaded = yaml.safe_load(_read_text(path))
    except yaml.YAMLError as exc:
        where = f", line {mark.line + 1}" if (mark := getattr(exc, "problem_mark", None)) else ""
        raise BadInput(f"{path} is not YAML{where}.") from exc
    return _check(path, loaded)


def _check(path: Path, loaded: object) -> QuestionSet:
    try:
        read = _File.model_validate(loaded)
    except ValidationError as exc:
        first = exc.errors(include_url=False)[0]
        raise BadInput(f"{path}, {'.'.join(map(str, first['loc'])) or 'as a whole'}: {describe_error(first)}.") from exc
    return QuestionSet(read.name or path.stem, read.questions, read.floors)


def _load_public(path: Path) -> QuestionSet:
    """A set with a corpus. An unanswerable question is a near miss: its passage is in the corpus."""
    corpus = _read_lines(path.with_name(f"{path.name}{_CORPUS}"))
    alike: dict[str, list[str]] = {}  # the same paragraph may be there under two ids
    for item in corpus:
        alike.setdefault(" ".join(item["text"].split()), []).append(item["id"])
    same = {passage_id: ids for ids in alike.values() for passage_id in ids}
    cases = [_parse_public_case(row, same) for row in _read_lines(path.with_name(f"{path.name}{_QUERIES}"))]
    return QuestionSet(path.name, cases, corpus=corpus)


def _parse_public_case(row: Json, same: Mapping[str, list[str]]) -> Case:
    if not row["answerable"]:
        return Case(question=row["question"], language=row["lang"], unanswerable=True, near_miss=True)
    right = sorted({each for gold in row["gold"] for each in same.get(gold, [gold])})
    return Case(question=row["question"], language=row["lang"], document=right, answer=row["answers"])


def _read_lines(path: Path) -> list[Json]:
    rows = []
    for number, line in enumerate(_read_text(path).splitlines(), 1):
        try:
            rows += [json.loads(line)] if line.strip() else []
        except ValueError as exc:
            raise BadInput(f"{path}, line {number}: not JSON.") from exc
    return rows


def _read_text(path: Path) -> str:
    try:
        if path.stat().st_size > _LARGEST_FILE:
            raise BadInput(f"{path} is larger than {_LARGEST_FILE >> 20} MiB.")
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        raise BadInput(f"{path} cannot be read as UTF-8 text.") from exc
