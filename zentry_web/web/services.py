"""Where a request finds the services: the container that create_app() was given."""

from typing import cast

from flask import current_app

from zentry_web.services.service_container import ServiceContainer

EXTENSION = "zentry"


def services() -> ServiceContainer:
    """This application's service container."""
    return cast(ServiceContainer, current_app.extensions[EXTENSION])
