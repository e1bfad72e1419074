"""The texts of mails: one file each in templates/mails, the subject in its first line, then an empty one.

Of another language's in ``mails`` of its folder in translations/.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from string import Template

from zentry_web.domain.language import FOLDER as TRANSLATIONS
from zentry_web.domain.language import language
from zentry_web.domain.target import Target

FOLDER = Path(__file__).parents[1] / "templates" / "mails"


class Letters:
    """Writes them. ``base_url`` is what all addresses begin with, ``path_of`` makes the rest of a target's."""

    def __init__(self, base_url: str = "", path_of: Callable[[Target], str] = str) -> None:
        self._base_url = base_url
        self._path_of = path_of

    def address_of(self, target: Target) -> str:
        """The whole address, as a mail needs it."""
        return f"{self._base_url}{self._path_of(target)}"

    def write(self, letter: str, /, **words: str | Target) -> tuple[str, str]:
        """Subject and body of that letter in the language spoken, with its ``words``; a target becomes its address.

        Raises KeyError when a word is missing.
        """
        own = TRANSLATIONS / language() / "mails" / f"{letter}.txt"
        text = (own if own.is_file() else FOLDER / own.name).read_text(encoding="utf-8").removesuffix("\n")
        said = {key: self.address_of(word) if isinstance(word, Target) else word for key, word in words.items()}
        subject, _, body = text.partition("\n\n")
        return subject, Template(body).substitute(said)


@dataclass(frozen=True, slots=True)
class MailSettings:
    """Whether mail is sent at all, and what writes it."""

    enabled: bool = False
    letters: Letters = field(default_factory=Letters)
