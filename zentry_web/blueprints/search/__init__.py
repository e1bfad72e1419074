"""search: routes.py (one address), results.py (what is shown), entries.py (pages, settings and actions that are always
there), verbs.py (what can be done to a machine or a project)."""

from .routes import blueprint

__all__ = ["blueprint"]
