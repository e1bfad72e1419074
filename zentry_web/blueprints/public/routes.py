"""The landing page, with live prices."""

from flask import Blueprint, current_app, render_template
from flask.typing import ResponseReturnValue

from zentry_web.web.actor import public
from zentry_web.web.services import services

blueprint = Blueprint("public", __name__)


@blueprint.get("/")
@public
def landing() -> ResponseReturnValue:
    """What Zentry is and what it costs."""
    sizes = services().get_vm_service().list_sizes()
    return render_template("public/landing.html", sizes=sizes, starting=current_app.config["ZENTRY_STARTING_MICRO"])
