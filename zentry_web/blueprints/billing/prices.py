"""Prices in force and announced, and what the announced ones mean for one's own machines."""

from flask import render_template
from flask.typing import ResponseReturnValue

from zentry_web.blueprints.billing.routes import blueprint
from zentry_web.web.actor import current_actor, me
from zentry_web.web.services import services


@blueprint.get("/prices")
def prices() -> ResponseReturnValue:
    """What sizes and images cost, now and from announced dates on; the person's machines that change price."""
    vms = services().get_vm_service()
    coming = services().get_billing_service().price_changes.list_coming(me().id, actor=current_actor())
    return render_template("billing/prices.html", sizes=vms.list_sizes(), images=vms.list_images(), coming=coming)
