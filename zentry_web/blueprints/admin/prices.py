"""For admins: sizes and their prices."""

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from zentry_web.blueprints.admin.forms import OfferForm, PriceForm
from zentry_web.blueprints.admin.routes import blueprint
from zentry_web.domain.money import format_credits
from zentry_web.services.errors import NotFoundError
from zentry_web.web.actor import current_actor
from zentry_web.web.flash import success
from zentry_web.web.htmx import go_to, is_htmx
from zentry_web.web.services import services


@blueprint.get("/sizes")
def sizes() -> ResponseReturnValue:
    """All sizes with the price in force."""
    return render_template("admin/sizes.html", sizes=services().get_vm_service().list_sizes(include_inactive=True))


@blueprint.post("/sizes/<size_id>")
def offer_size(size_id: str) -> ResponseReturnValue:
    """Put a size on offer or take it off; machines that have it keep it."""
    active = bool(OfferForm().active.data)
    services().get_vm_service().update_size(size_id, {"active": active}, actor=current_actor())
    success("The size is on offer." if active else "The size is no longer on offer.")
    return redirect(url_for("admin.sizes"), 303)


@blueprint.route("/sizes/<size_id>/price", methods=["GET", "POST"])
def price(size_id: str) -> ResponseReturnValue:
    """Publish a new price: it counts for launches from now on."""
    found = services().get_vm_service().list_sizes(include_inactive=True)
    size = next((item for item in found if item.id == size_id), None)
    if size is None:
        raise NotFoundError("There is no such size.")
    now = {"running": size.running_micro_per_hour, "disk": size.disk_micro_per_gib_hour}
    form = PriceForm(data={name: format_credits(micro).replace(",", "") for name, micro in now.items()})
    if request.method == "POST":
        billing, actor = services().get_billing_service(), current_actor()
        if form.submit(
            lambda: billing.publish_price(size_id, form.running.micro or 0, form.disk.micro or 0, actor=actor)
        ):
            success(f"The new price of {size.name} is in force for new launches.")
            return go_to(url_for("admin.sizes"))
    template = "admin/_price.html" if is_htmx() else "admin/price.html"
    return render_template(template, size=size, form=form), form.status
