"""What people type as names: made uniform, and refused when it hides something."""

import unicodedata

# Control characters, surrogates, private use, line and paragraph separators: nothing a name needs.
_REFUSED_CATEGORIES = frozenset({"Cc", "Cs", "Co", "Cn", "Zl", "Zp"})
# Invisible marks that turn the direction of the text around them: a name could pass for another one.
_TURNING_MARKS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def clean_name(value: object, *, longest: int) -> str:
    """``value`` as a name: NFKC, outer and repeated spaces removed, 1 to ``longest`` characters.

    Raises ValueError with a sentence for the person.
    """
    if not isinstance(value, str):
        raise ValueError("Enter a name.")
    text = unicodedata.normalize("NFKC", value[: 20 * longest])  # no need to work through a megabyte
    text = " ".join(part for part in text.split(" ") if part)
    if any(unicodedata.category(c) in _REFUSED_CATEGORIES or c in _TURNING_MARKS for c in text):
        raise ValueError("Leave out line breaks and control characters.")
    if not any(unicodedata.category(c)[0] in "LNPS" for c in text):
        raise ValueError("Enter a name.")
    if len(text) > longest:
        raise ValueError(f"Use at most {longest} characters.")
    return text


def clean_text(value: object, *, longest: int) -> str:
    """``value`` as plain text of some lines: outer spaces removed, NFC, at most ``longest`` characters; may be empty.

    Raises ValueError with a sentence for the person.
    """
    text = value.replace("\r\n", "\n") if isinstance(value, str) else ""
    text = unicodedata.normalize("NFC", text[: 20 * longest]).strip()
    refused = (c for c in text if c != "\n" and (unicodedata.category(c) in _REFUSED_CATEGORIES or c in _TURNING_MARKS))
    if any(refused):
        raise ValueError("Leave out control characters.")
    if len(text) > longest:
        raise ValueError(f"Use at most {longest} characters.")
    return text


def clean_line(value: object, *, longest: int) -> str:
    """``value`` as one line, such as a reason: as ``clean_text``, single spaces, no line breaks; may be empty."""
    text = clean_text(value, longest=longest)
    if "\n" in text:
        raise ValueError("Leave out line breaks.")
    return " ".join(part for part in text.split(" ") if part)


def folded(text: str) -> str:
    """What two texts share when a person would call them the same: case and compatibility forms folded."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
