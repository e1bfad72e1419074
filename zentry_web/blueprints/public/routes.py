"""The landing page, with live prices, and the status page."""

from flask import Blueprint, render_template
from flask.typing import ResponseReturnValue

from zentry_web.blueprints.public.calculator import calculator_context
from zentry_web.domain.availability import DAYS
from zentry_web.domain.language import _
from zentry_web.domain.setting import SettingKey
from zentry_web.services.errors import NotFoundError
from zentry_web.web.services import services
from zentry_web.web.session.actor import public

blueprint = Blueprint("public", __name__)


@blueprint.get("/<any(terms, contact):name>")
@public
def words(name: str) -> ResponseReturnValue:
    """What the operator wrote for everybody."""
    text = services().billing.settings.text(SettingKey(name))
    if not text:
        raise NotFoundError(_("There is no such page here."))
    return render_template("public/words.html", title=_("Terms") if name == "terms" else _("Contact"), text=text)


@blueprint.get("/status")
@public
def status() -> ResponseReturnValue:
    """How the parts are now and were on the last days."""
    return render_template("public/status.html", parts=services().monitoring.availability.read(), days=DAYS)


@blueprint.get("/")
@public
def landing() -> ResponseReturnValue:
    """What Zentry is and what it costs."""
    sizes, images = services().vms.list_sizes(), services().vms.list_images()
    starting = services().billing.settings.number(SettingKey.STARTING_CREDITS)
    shown = {"sizes": sizes, "images": images, "starting": starting}
    return render_template("public/landing.html", **shown, **calculator_context(sizes, images))


@blueprint.get("/calculator")
@public
def calculator() -> ResponseReturnValue:
    """What some machines would cost: the part of the landing page that moves, or a page."""
    sizes, images = services().vms.list_sizes(), services().vms.list_images()
    return render_template("public/calculator.html", sizes=sizes, images=images, **calculator_context(sizes, images))
