"""Texts of documents and models made safe and faithful for Streamlit's Markdown."""

import re

_CODE = re.compile(r"(```.*?(?:```|\Z)|`[^`\n]+`)", re.DOTALL)
_DIRECTIVE = re.compile(r":(?=[A-Za-z][\w-]*\[)")
_PUNCTUATION = re.compile(r"([\\`*_{}\[\]()<>#+\-.!|~$:=^&])")


def answer_markdown(text: str) -> str:
    """An answer with its Markdown, but without images, formulas and Streamlit's own directives.

    An image would be fetched by the reader's browser as soon as it is drawn, from an address that a document may have
    put in the model's mouth. Between two prices, `$` would begin a formula; `:red[1]` would swallow a citation's mark.
    """
    # Also within code, where it shows as well: what is code here need not be code to the browser's parser.
    text = text.replace("![", "!\u200b[")
    parts = _CODE.split(text)  # code at the odd places
    parts[::2] = [_DIRECTIVE.sub(r"\\:", part.replace("$", r"\$")) for part in parts[::2]]
    return "".join(parts)


def plain_markdown(text: str) -> str:
    """Markdown that shows *text* as it is, on one line."""
    return _PUNCTUATION.sub(r"\\\1", " ".join(text.split()))
