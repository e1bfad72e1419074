"""Write docs/security.md."""

from tests.asvs import DOCUMENT, ITEMS, all_marks, document, read_items, with_tests

chapters = read_items(ITEMS.read_text())
if unknown := with_tests(chapters, all_marks()):
    raise SystemExit(f"markers of items that are not in items.txt: {', '.join(unknown)}")
DOCUMENT.write_text(document(chapters))
