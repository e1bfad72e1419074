"""Texts in the code and their translations. ``python -m tests.texts`` lists what is missing and what is left over.

``python -m tests.texts vms components/nav`` looks only at files with one of these words in their path; ``--po``
prints what is missing as entries to be pasted into a catalogue.
"""

import argparse
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from babel.messages.catalog import Message
from babel.messages.extract import DEFAULT_KEYWORDS, extract_from_file
from babel.messages.pofile import read_po

from tests.source import ROOT
from zentry_web.domain.language import ENGLISH, FOLDER, languages
from zentry_web.domain.notice_texts import LINES, NOTICES

KEYWORDS = {name: DEFAULT_KEYWORDS[name] for name in ("_", "ngettext", "pgettext")} | {
    "lazy": None,
    "kept": None,
    "dated": (2,),
}
JINJA = {"silent": "false", "trimmed": "true", "newstyle_gettext": "true"}
PACKAGE = ROOT / "zentry_web"
PLACEHOLDER = re.compile(r"%\(\w+\)[a-z]|\$\{?\w+\}?|\{\w+\}")
Key = tuple[str, str, str]  # meaning, text, plural ('' where there is none)


@dataclass
class Text:
    """What the code says, and where."""

    key: Key
    places: list[str] = field(default_factory=list)


def _files() -> Iterator[tuple[Path, str, dict[str, str]]]:
    for path in sorted((PACKAGE / "templates").rglob("*.html")):
        if "styleguide" not in path.name:
            yield path, "jinja2.ext:babel_extract", JINJA
    for path in sorted(PACKAGE.rglob("*.py")):
        yield path, "python", {}
    for path in sorted((PACKAGE / "static" / "js").glob("*.js")):
        yield path, "javascript", {}


@lru_cache
def in_code() -> dict[Key, Text]:
    """Every text that the code has translated."""
    found: dict[Key, Text] = {}
    for path, method, options in _files():
        keywords = KEYWORDS | ({"gettext": None} if options else {"translate": None})  # {% trans %} comes to gettext
        for line, said, _, meaning in extract_from_file(method, path, keywords, options=options):
            one, many = (said[0], said[1]) if isinstance(said, tuple) else (said, "")
            key = (meaning or "", one, many)
            found.setdefault(key, Text(key)).places.append(f"{path.relative_to(PACKAGE)}:{line}")
    for place, text in _tables():
        found.setdefault(("", text, ""), Text(("", text, ""))).places.append(place)
    return found


def _tables() -> Iterator[tuple[str, str]]:
    """Texts that are looked up when they are said."""
    for notice in NOTICES.values():
        yield from (("domain/notice_texts.py", text) for text in notice)
    yield from (("domain/notice_texts.py", text) for text in LINES.values())


def catalogues(code: str) -> dict[str, list[Message]]:
    """What each file of a language has."""
    found = {}
    for path in sorted((FOLDER / code).glob("*.po")):
        with path.open("rb") as file:
            found[path.name] = [message for message in read_po(file, abort_invalid=True) if message.id]
    return found


def key_of(message: Message) -> Key:
    one, many = message.id if isinstance(message.id, tuple) else (message.id, "")
    return (message.context or "", one, many)


def said(message: Message) -> tuple[str, ...]:
    return message.string if isinstance(message.string, tuple) else (message.string,)


def translated(code: str) -> dict[Key, Message]:
    return {key_of(message): message for messages in catalogues(code).values() for message in messages}


def missing(code: str) -> list[Text]:
    """What the code says and that language does not."""
    known = translated(code)
    return [text for key, text in in_code().items() if key not in known or not all(said(known[key]))]


def left_over(code: str) -> list[str]:
    """What a language has and nobody says any more."""
    return [
        f"{name}: {message.id!r}"
        for name, messages in catalogues(code).items()
        for message in messages
        if key_of(message) not in in_code()
    ]


def contradictions(code: str) -> list[str]:
    """What two files of a language, or one twice, say differently."""
    first: dict[Key, tuple[str, ...]] = {}
    return [
        f"{name}: {message.id!r}"
        for name, messages in catalogues(code).items()
        for message in messages
        if first.setdefault(key_of(message), said(message)) != said(message)
    ]


def misfits(code: str) -> list[str]:
    """Translations that lack a placeholder of their text, or have another one. A plural's first may leave the count
    out."""
    found = []
    for name, messages in catalogues(code).items():
        for message in messages:
            texts = message.id if isinstance(message.id, tuple) else (message.id,)
            wanted = set(PLACEHOLDER.findall(texts[-1]))
            for form in said(message):
                had = set(PLACEHOLDER.findall(form))
                is_off = had - wanted if len(texts) > 1 else had ^ wanted
                is_off |= set(re.findall(r"</?[a-z]+", texts[-1])) ^ set(re.findall(r"</?[a-z]+", form))
                if is_off:
                    found.append(f"{name}: {message.id!r}: {sorted(is_off)}")
    return found


def _entry(text: Text) -> str:
    meaning, one, many = (part.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") for part in text.key)
    head = f'msgctxt "{meaning}"\n' if meaning else ""
    if many:
        return f'{head}msgid "{one}"\nmsgid_plural "{many}"\nmsgstr[0] ""\nmsgstr[1] ""\n'
    return f'{head}msgid "{one}"\nmsgstr ""\n'


def main() -> None:
    """Print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("paths", nargs="*", help="words of the paths of files to look at; default: all")
    parser.add_argument("--po", action="store_true", help="print what is missing as entries of a catalogue")
    chosen, out = parser.parse_args(), list[str]()
    for code in languages():
        if code == ENGLISH:
            continue
        texts = [
            text
            for text in missing(code)
            if not chosen.paths or any(part in place for place in text.places for part in chosen.paths)
        ]
        for text in texts:
            out.append(_entry(text) if chosen.po else f"{code} lacks  {text.places[0]}: {text.key[1]!r}")
        if not chosen.po:
            for kind, lines in (("left over", left_over), ("says twice", contradictions), ("misfits", misfits)):
                for line in lines(code):
                    out.append(f"{code} {kind}  {line}")
            out.append(f"{code}: {len(texts)} missing of {len(in_code())}")
    sys.stdout.write("\n".join([*out, ""]))


if __name__ == "__main__":
    main()
