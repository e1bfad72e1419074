"""Prices in force and announced, and what the announced ones mean for one's own machines."""

from flask import render_template
from flask.typing import ResponseReturnValue

from zentry_web.blueprints.billing.routes import blueprint
from zentry_web.web.services import services
from zentry_web.web.session.actor import current_actor, me


@blueprint.get("/prices")
def prices() -> ResponseReturnValue:
    """What sizes and images cost, now and from announced dates on; the person's machines that change price."""
    vms = services().vms
    billing = services().billing
    coming = billing.price_changes.list_coming(me().id, actor=current_actor())
    storage = billing.storage.list_prices().values()
    return render_template(
        "billing/prices.html", sizes=vms.list_sizes(), images=vms.list_images(), storage=storage, coming=coming
    )
