"""The landing page, with live prices."""

from flask import Blueprint, render_template
from flask.typing import ResponseReturnValue

from zentry_web.domain.setting import SettingKey
from zentry_web.web.actor import public
from zentry_web.web.services import services

blueprint = Blueprint("public", __name__)


@blueprint.get("/")
@public
def landing() -> ResponseReturnValue:
    """What Zentry is and what it costs."""
    vms = services().get_vm_service()
    images = [image for image in vms.list_images() if image.surcharge_micro_per_hour or image.coming]
    return render_template(
        "public/landing.html",
        sizes=vms.list_sizes(),
        images=images,
        starting=services().get_billing_service().settings.number(SettingKey.STARTING_CREDITS),
    )
