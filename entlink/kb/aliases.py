"""How names are compared: one function that folds away what writers vary without meaning to."""

from __future__ import annotations

import re
import unicodedata

# Letters that carry a stroke or are ligatures have no canonical decomposition.
_UNDECOMPOSED = str.maketrans(
    {"ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "æ": "ae", "œ": "oe", "ı": "i", "ħ": "h"}
)
_ASCII_SEPARATORS = re.compile(r"[^a-z0-9+#]+")
# '+' and '#' are letters only where they end a word: "C++", "C#", "Disney+", not "#paris".
_LOOSE_SIGNS = re.compile(r"(?<![a-z0-9+#])[+#]+|[+#]+(?=[a-z0-9])")
_INITIALS = re.compile(r"(?<!\S)[^\W\d_](?: [^\W\d_](?!\S))+")
_MAX_FOLDS = 4


def normalise(text: str) -> str:
    """Fold `text` to the form under which names are stored and looked up.

    Case, accents, character width and punctuation do not count, whitespace is collapsed, and
    single letters are drawn together ("U.S." is "us", "J. K. Rowling" is "jk rowling"). A text
    of nothing but punctuation ("!!!") keeps its signs, so that it stays a name of its own.
    The function is idempotent.
    """
    folded = _fold_ascii(text.lower()) if text.isascii() else _fold(text)
    if folded:
        return folded
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def _fold_ascii(text: str) -> str:
    text = _ASCII_SEPARATORS.sub(" ", text)
    if "+" in text or "#" in text:
        text = _LOOSE_SIGNS.sub(" ", text)
    return _join_initials(" ".join(text.split()))


def _fold(text: str) -> str:
    for _ in range(_MAX_FOLDS):  # folding may lay bare what the next round folds
        before, text = text, _fold_once(text)
        if text == before:
            break
    return text


def _fold_once(text: str) -> str:
    text = unicodedata.normalize("NFKC", text).casefold().translate(_UNDECOMPOSED)
    marked = unicodedata.normalize("NFKD", text)
    # Combining classes below 10 are no accents: they tell Indic and kana syllables apart.
    bare = "".join(c for c in marked if unicodedata.combining(c) < 10)
    spaced = "".join(c if _is_letter(c) else " " for c in unicodedata.normalize("NFKC", bare))
    if spaced.isascii():
        return _fold_ascii(spaced.lower())
    if "+" in spaced or "#" in spaced:
        spaced = re.sub(r"(?<![\w+#])[+#]+|[+#]+(?=\w)", " ", spaced)
    return _join_initials(" ".join(spaced.split()))


def _is_letter(char: str) -> bool:
    return char in "+#" or unicodedata.category(char)[0] in "LMN"


def _join_initials(text: str) -> str:
    if " " not in text:
        return text
    return _INITIALS.sub(lambda match: match.group().replace(" ", ""), text)
