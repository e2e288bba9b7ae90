"""What the event loop calls with texts of strangers: each as a call of one text."""

from collections.abc import Callable, Mapping

from agents.answer_cache import normalise
from agents.citations import make_citations, remove_marks
from agents.verification.claims import split_claims
from agents.verification.facts import find_facts
from agents.verification.figures.checking import check_figures
from agents.verification.sources import Source
from agents.verification.support import judge_by_words
from api.view_text import Span, TextLayout
from domain.document_files import Extracted, TextPart
from prompts.judging import read_judgement
from prompts.rag import number_passages, render_passages
from providers.chat.candidates import list_candidates
from providers.chat.quote_selection import select_quotes
from providers.chat.sentence_scores import score_sentences
from providers.chat.sentences import sentence_spans, split_sentences
from retrieval.lexical import Lexicon
from retrieval.question import Question
from retrieval.selection import drop_repeats, order_by_best_sentence
from utils.facts.dates import find_dates
from utils.facts.folding import fold
from utils.facts.names import find_initials, find_names, list_words
from utils.facts.numbers import find_numbers
from utils.facts.polarity import tokenize
from utils.language import detect_language
from utils.masking import mask
from utils.passages import Hit, Passage
from utils.query_tables import QueryColumn, QueryTable
from utils.words import hash_content_words

Call = Callable[[str], object]
_LONGEST_QUESTION = 5000


def hit(text: str, number: int = 1, language: str = "en") -> Hit:
    """*text* as a passage that was found."""
    passage = Passage(
        f"p{number}", f"d{number}", text[:200], "a.md", None, None, text[:200], 0, len(text), language, text
    )
    return Hit(passage, 1.0, 0.9, 1.0)


def _support(text: str) -> object:
    source = Source(text, text[:200], "en")
    return [judge_by_words(claim, {1: source}) for claim in split_claims(text)[:8]]


def _extract(text: str) -> object:
    """What the answerer without a language model does, for a question made of the same."""
    question = f"How many, and who? {text}"[:_LONGEST_QUESTION]
    sentences = list_candidates(number_passages([hit(text).passage]))
    return sentences and select_quotes(question, sentences, score_sentences(question, sentences), max_chars=400)


def _check_figures(text: str) -> object:
    words = text.split()
    rows = tuple((word, number) for number, word in enumerate(words[:20]))
    columns = (QueryColumn("name", text[:300]), QueryColumn("hours", total=9.0, mean=1.0, smallest=0.0, largest=9.0))
    return check_figures(text, "en", {1: QueryTable("S", "SELECT 1", columns, rows, len(rows), given=(text[:500],))})


def _view(text: str) -> object:
    layout = TextLayout(Extracted(text, (TextPart(0, 0, len(text), 0, 1),)), Span(len(text) // 3, len(text) // 2))
    return layout.lay_out_blocks(Span(0, len(text)), shows_pages=True)


CALLS: Mapping[str, Call] = {
    "normalised": normalise,
    "without_marks": remove_marks,
    "claims": split_claims,
    "citations of an answer": lambda text: make_citations(text, [hit("The office opens at 8:00.")] * 3),
    "citations from a passage": lambda text: make_citations("It opens at 8. It closes [1].", [hit(text)]),
    "citations of itself": lambda text: make_citations(f"{text} [1]", [hit(text)]),
    "facts": find_facts,
    "figures": _check_figures,
    "support": _support,
    "view": _view,
    "judgement": lambda text: read_judgement(text, 12),
    "prompt": lambda text: render_passages([hit(text).passage]),
    "candidates": lambda text: list_candidates(number_passages([hit(text).passage])),
    "split sentences": split_sentences,
    "sentence spans": lambda text: list(sentence_spans(text)),
    "extract": _extract,
    "distinct": lambda text: list(drop_repeats([hit(text), hit(text + "!", 2)])),
    "terms of a passage": lambda text: Lexicon().make_passage_terms(hit(text).passage),
    "best sentence": lambda text: order_by_best_sentence(Question("When does it open?"), [hit(text)]),
    "share": lambda text: Question("When does it open?").share_in(hit(text).passage),
    "dates": find_dates,
    "folded": fold,
    "initials": find_initials,
    "names": find_names,
    "vocabulary": list_words,
    "numbers": find_numbers,
    "tokens": tokenize,
    "language": detect_language,
    "masked": mask,
    "content words": lambda text: hash_content_words(text, "en"),
}
