"""Zentry: a small cloud you run yourself. ``create_app`` builds the web application."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zentry_web import wiring

if TYPE_CHECKING:
    from flask import Flask

    from zentry_web.config import Config
    from zentry_web.services.service_container import Parts, ServiceContainer


def create_app(config: Config | None = None, container: ServiceContainer | None = None) -> Flask:
    """The WSGI application on ``config`` (default: the environment) and ``container`` (default: built from it)."""
    from zentry_web.app import make_app  # the command line and the worker import this package too, and need no Flask

    return make_app(config, container)


def _parts_from_environment() -> Parts:
    from zentry_web.composition import make_parts
    from zentry_web.config import Config

    return make_parts(Config())


wiring.default_parts = _parts_from_environment
