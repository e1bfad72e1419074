"""What people type as names: made uniform, and refused when it hides something."""

import re
import unicodedata

from zentry_web.domain.language import _

# Control characters, surrogates, private use, line and paragraph separators: nothing a name needs. What this Python's
# Unicode does not know yet ("Cn") may be next year's emoji: only what will never be a character is refused of it.
_REFUSED_CATEGORIES = frozenset({"Cc", "Cs", "Co", "Zl", "Zp"})
# Signs that show nothing: with them two names look the same, or one looks empty. Tags (U+E0000 …) as well.
_UNSEEN = frozenset(
    "\u00ad\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180e\u180f\u200b\u2060\u2061\u2062\u2063\u2064\u2065"
    "\u206a\u206b\u206c\u206d\u206e\u206f\u2800\u3164\ufeff\uffa0\ufff9\ufffa\ufffb"
)
_JOINERS = frozenset("\u200c\u200d")
# Invisible marks that turn the direction of the text around them: a name could pass for another one.
_TURNING_MARKS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def whole_number(text: str) -> int | None:
    """The number that ``text`` is in the digits 0 to 9, up to 18 of them, with a sign or without; None for all else.

    ``int`` would also take digits of every script and underscores, and thousands of them.
    """
    text = text.strip()
    return int(text) if re.fullmatch(r"[+-]?[0-9]{1,18}", text) else None


def clean_name(value: object, *, longest: int) -> str:
    """``value`` as a name: NFKC, outer and repeated spaces removed, 1 to ``longest`` characters.

    Raises ValueError with a sentence for the person.
    """
    if not isinstance(value, str):
        raise ValueError(_("Enter a name."))
    text = unicodedata.normalize("NFKC", value[: 20 * longest])  # no need to work through a megabyte
    text = " ".join(part for part in text.split(" ") if part)
    if any(_is_refused(c) for c in text):
        raise ValueError(_("Leave out line breaks and control characters."))
    if _hides_something(text):
        raise ValueError(_("Leave out invisible characters."))
    if not any(unicodedata.category(c)[0] in "LNPS" or unicodedata.category(c) == "Cn" for c in text):
        raise ValueError(_("Enter a name."))
    if len(text) > longest:
        raise ValueError(_("Use at most %(most)s characters.", most=longest))
    return text


def clean_text(value: object, *, longest: int) -> str:
    """``value`` as plain text of some lines: outer spaces removed, NFC, at most ``longest`` characters; may be empty.

    Raises ValueError with a sentence for the person.
    """
    text = value.replace("\r\n", "\n") if isinstance(value, str) else ""
    text = unicodedata.normalize("NFC", text[: 20 * longest]).strip()
    if any(c != "\n" and _is_refused(c) for c in text):
        raise ValueError(_("Leave out control characters."))
    if len(text) > longest:
        raise ValueError(_("Use at most %(most)s characters.", most=longest))
    return text


def clean_line(value: object, *, longest: int) -> str:
    """``value`` as one line, such as a reason: as ``clean_text``, single spaces, no line breaks; may be empty."""
    text = clean_text(value, longest=longest)
    if "\n" in text:
        raise ValueError(_("Leave out line breaks."))
    return " ".join(part for part in text.split(" ") if part)


def _is_refused(c: str) -> bool:
    never = 0xFDD0 <= ord(c) <= 0xFDEF or ord(c) & 0xFFFE == 0xFFFE  # noncharacters (Unicode 15, 23.7)
    return unicodedata.category(c) in _REFUSED_CATEGORIES or c in _TURNING_MARKS or never


def _hides_something(text: str) -> bool:
    """Whether a sign shows nothing. Joiners show within emoji and in scripts whose letters they join, nowhere else."""
    for before, c in zip(" " + text, text, strict=False):
        if c in _UNSEEN or 0xE0000 <= ord(c) <= 0xE0FFF:
            return True
        if c in _JOINERS and not _is_joined(before):
            return True
    return text.endswith("\u200d")


def _is_joined(before: str) -> bool:
    joins = unicodedata.bidirectional(before) == "AL" or unicodedata.combining(before) == 9  # Arabic; viramas
    emoji = unicodedata.category(before) in ("So", "Sk", "Mn", "Me", "Cn")  # with skin tones and variation selectors
    return joins or emoji


# What mail programs make links of: addresses with a scheme or '@', and words with a dot inside, as host names have.
_ADDRESS = re.compile(r"\S*(?:://|@|\bmailto:|\bwww\.)\S*|[^\s.]*\w[.\u3002\uff0e\uff61]\w\S*")


def without_addresses(text: str) -> str:
    """Somebody else's words as they may stand in a mail of ours: whatever could become a link is '…'."""
    return _ADDRESS.sub("…", unicodedata.normalize("NFKC", text))


def folded(text: str) -> str:
    """What two texts share when a person would call them the same: case and compatibility forms folded."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
