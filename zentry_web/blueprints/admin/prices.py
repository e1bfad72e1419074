"""For admins: sizes and their prices."""

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from zentry_web.blueprints.admin.forms import OfferForm, PriceForm, SizeForm, StoragePriceForm
from zentry_web.blueprints.admin.routes import blueprint
from zentry_web.domain.credits.storage import KIND_TITLES, StoredKind
from zentry_web.domain.language import _
from zentry_web.domain.money import format_credits
from zentry_web.domain.zones import zone_of
from zentry_web.services.errors import NotFoundError
from zentry_web.web.input.questions import Question, ask, one_of
from zentry_web.web.output.flash import success
from zentry_web.web.output.htmx import go_to
from zentry_web.web.services import services
from zentry_web.web.session.actor import current_actor, me


@blueprint.get("/sizes")
def sizes() -> ResponseReturnValue:
    """All sizes with the price in force, and those that will be on offer."""
    vms = services().vms
    return render_template(
        "admin/sizes.html",
        sizes=vms.list_sizes(include_inactive=True),
        planned=vms.list_planned_sizes(),
        storage=services().billing.storage.list_prices(),
    )


@blueprint.route("/sizes/new", methods=["GET", "POST"])
def new_size() -> ResponseReturnValue:
    """Create a size with its first price, on offer now or from a date on."""
    vms, actor, form = services().vms, current_actor(), SizeForm()
    starts = form.starts.data.replace(tzinfo=zone_of(me().time_zone)) if form.starts.data else None
    data: dict[str, object] = {
        "name": form.text("name"),
        "vcpus": form.vcpus.data,
        "memory_mib": form.text("memory"),
        "disk_gib": form.gib.data,
    }

    def create() -> str:
        data.update(running_micro_per_hour=form.running.micro, disk_micro_per_gib_hour=form.disk.micro)
        return vms.create_size(data, starts_at=starts, actor=actor)

    if request.method == "POST" and form.submit(create):
        success(_("Size %(name)s is created.", name=data["name"]))
        return go_to(url_for("admin.sizes"))
    return render_template("admin/size_new.html", form=form), form.status


@blueprint.route("/sizes/<size_id>", methods=["GET", "POST"])
def offer_size(size_id: str) -> ResponseReturnValue:
    """Put a size on offer or take it off; machines that have it keep it."""
    if request.method == "GET":
        vms = services().vms
        name = one_of([*vms.list_sizes(include_inactive=True), *vms.list_planned_sizes()], size_id).name
        text = _("Nobody launches it or changes to it any more. Machines that have it keep it and go on as they are.")
        title = _("Withdraw %(name)s?", name=name)
        return ask(Question(title, text, _("Withdraw"), url_for("admin.sizes"), "admin.sizes", icon="ban"))
    active = bool(OfferForm().active.data)
    services().vms.update_size(size_id, {"active": active}, actor=current_actor())
    success(_("The size is on offer.") if active else _("The size is no longer on offer."))
    return redirect(url_for("admin.sizes"), 303)


@blueprint.route("/sizes/<size_id>/price", methods=["GET", "POST"])
def price(size_id: str) -> ResponseReturnValue:
    """Publish a new price: it counts for launches from now on."""
    found = services().vms.list_sizes(include_inactive=True)
    size = next((item for item in found if item.id == size_id), None)
    if size is None:
        raise NotFoundError(_("There is no such size."))
    now = {"running": size.running_micro_per_hour, "disk": size.disk_micro_per_gib_hour}
    form = PriceForm(data={name: format_credits(micro).replace(",", "") for name, micro in now.items()})
    if request.method == "POST":
        billing, actor = services().billing, current_actor()
        if form.submit(
            lambda: billing.price_list.publish(size_id, form.running.micro or 0, form.disk.micro or 0, actor=actor)
        ):
            success(_("The new price of %(name)s is in force for new launches.", name=size.name))
            return go_to(url_for("admin.sizes"))
    return render_template("admin/price.html", size=size, form=form), form.status


@blueprint.route("/storage/<kind>/price", methods=["GET", "POST"])
def storage_price(kind: str) -> ResponseReturnValue:
    """Publish the price of a kind of stored things: it counts for what is stored from now on."""
    storage = services().billing.storage
    price = next((price for each, price in storage.list_prices().items() if each == kind), None)
    if price is None:
        raise NotFoundError(_("There is no such price."))
    found = StoredKind(price.kind)
    form = StoragePriceForm(data={"gib": format_credits(price.micro_per_gib_hour).replace(",", "")})
    if request.method == "POST" and form.submit(
        lambda: storage.publish(found, form.gib.micro or 0, actor=current_actor())
    ):
        success(_("The new price is in force for what is stored from now on."))
        return go_to(url_for("admin.sizes"))
    return render_template("admin/storage_price.html", price=price, title=KIND_TITLES[found], form=form), form.status
