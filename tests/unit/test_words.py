"""The words of docs/words.md are used, and the ones they replaced are nowhere a person reads."""

import re

from tests.source import ROOT

GLOSSARY = ROOT / "docs" / "words.md"
NOT_A_PAGE = ("styleguide", "_styleguide")
COMMENT = re.compile(r"\{#.*?#\}", re.DOTALL)


def _replaced() -> list[str]:
    rows = [line for line in GLOSSARY.read_text().splitlines() if line.startswith("| ")][1:]
    return [word for row in rows for word in re.findall(r"`([^`]+)`", row.split("|")[3])]


def _read_by_people() -> dict[str, str]:
    templates = ROOT / "zentry_web" / "templates"
    files = [path for path in templates.rglob("*.*") if path.suffix in (".html", ".txt")]
    files = [path for path in files if not path.name.startswith(NOT_A_PAGE)]
    files += [ROOT / "zentry_web" / "domain" / "notice_texts.py", ROOT / "docs" / "guide.md", ROOT / "README.md"]
    return {str(path.relative_to(ROOT)): COMMENT.sub("", path.read_text()) for path in files}


def test_no_text_has_a_word_that_was_replaced():
    words, texts = _replaced(), _read_by_people()
    assert len(words) > 20
    assert len(texts) > 150
    assert [f"{name}: {word}" for name, text in texts.items() for word in words if word in text] == []


def test_every_icon_means_one_thing():
    words = GLOSSARY.read_text().partition("## Icons")[2].partition("## Colours")[0]
    rows = [line.split("|") for line in words.splitlines() if line.startswith("| ")][1:]
    icons, meanings = [row[1].strip() for row in rows], [row[2].strip() for row in rows]
    assert sorted(icons) == sorted((ROOT / "scripts" / "vendor-icons.txt").read_text().split())
    assert len(set(meanings)) == len(meanings)
