"""Which passages of a public set are of one article: by its title, or by what the questions ask about.

IDK-MRC names no articles, though many of its passages are of the same one. With passages drawn one by one, half of
those about Kamen Rider stay in the index when a question about Kamen Rider counts as one that no document answers.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from benchmarks.retrieval import Row

# A name in more passages than this is a country's or a common word rather than a subject: among those in 5 or 6 are
# Majapahit, Soeharto and the Beatles, among those in 7 to 12 Australia, France and Persia.
MAX_PASSAGES = 6
_NAME = re.compile(r"[A-Z][\w'’-]*(?:\s+[A-Z][\w'’-]*)*")
_SHORTEST = 3


def articles(corpus: Sequence[Row], golden: Mapping[str, Iterable[str]]) -> dict[str, str]:
    """The article of each passage of *corpus* by the passage's id; *golden* are the questions that a passage answers.

    Without titles, passages are of one article where they answer questions about the same name, or where it stands in
    them; also through a third.
    """
    titled = {item["id"]: str(item.get("title") or "") for item in corpus}
    if all(titled.values()):
        return titled
    found = {passage: passage for passage in titled}
    for about in _about(corpus, golden):
        if len(about) <= MAX_PASSAGES:
            together = {found[passage] for passage in about}
            first = min(together)
            found = {passage: first if one in together else one for passage, one in found.items()}
    return found


def _about(corpus: Sequence[Row], golden: Mapping[str, Iterable[str]]) -> list[set[str]]:
    """For each name in a question the passages that are about it."""
    asked: dict[str, set[str]] = defaultdict(set)
    for passage, questions in golden.items():
        for name in {name for question in questions for name in _names(question)}:
            asked[name].add(passage)
    texts = [(item["id"], item["text"].lower()) for item in corpus]
    whole = {name: re.compile(rf"\b{re.escape(name)}\b") for name in asked}
    return [asked[name] | {passage for passage, text in texts if whole[name].search(text)} for name in sorted(asked)]


def _names(question: str) -> set[str]:
    """Words with a capital that stand together; the first of a question has one whatever it is."""
    _, _, after_first = question.strip().partition(" ")
    return {name.lower() for name in _NAME.findall(after_first) if len(name) >= _SHORTEST}
