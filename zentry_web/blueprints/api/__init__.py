"""The JSON API: see routes.py. ``init_api`` puts it into an application."""

from .routes import blueprint, init_api

__all__ = ["blueprint", "init_api"]
