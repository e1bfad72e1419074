"""``python -m zentry_web`` is the ``zentry`` command."""

from zentry_web.cli import main

main()
