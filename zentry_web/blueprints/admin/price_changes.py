"""For admins: new prices from a date on, drafted on one page, rehearsed, published, withdrawn."""

from datetime import datetime, timedelta, tzinfo
from typing import Any

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from zentry_web.blueprints.admin.forms import ChangeForm, ConfirmForm, change_form
from zentry_web.blueprints.admin.routes import blueprint
from zentry_web.domain.credits.prices import (
    ChangeState,
    ItemKind,
    PriceChange,
    PriceItem,
    Rehearsal,
    withdrawn_prices,
)
from zentry_web.domain.credits.rehearsal_csv import rehearsal_csv
from zentry_web.domain.language import _
from zentry_web.domain.money import format_credits
from zentry_web.domain.vms.catalogue import Image, Size
from zentry_web.domain.zones import zone_of
from zentry_web.services.errors import ValidationError
from zentry_web.web.input.paging import PAGE_SIZE, here, number_argument, text_argument
from zentry_web.web.input.questions import Question, ask
from zentry_web.web.output.files import csv_answer
from zentry_web.web.output.flash import success
from zentry_web.web.output.htmx import go_to
from zentry_web.web.services import services
from zentry_web.web.session.actor import current_actor, me

RECENT = timedelta(days=30)


@blueprint.get("/prices")
def prices() -> ResponseReturnValue:
    """All changes of prices, and the prices in force."""
    sizes, images = _catalogue()
    changes = services().billing.price_changes.list_changes(actor=current_actor())
    return render_template("admin/prices.html", changes=changes, sizes=sizes, images=images, now=services().clock.now())


@blueprint.route("/prices/new", methods=["GET", "POST"])
def new_prices() -> ResponseReturnValue:
    """Draft new prices: those in force, to be typed over."""
    return _edit(None)


@blueprint.route("/prices/<change_id>", methods=["GET", "POST"])
def price_change(change_id: str) -> ResponseReturnValue:
    """A draft to go on with, or what was announced."""
    change = services().billing.price_changes.get_change(change_id, actor=current_actor())
    if request.method == "POST" or change.state(services().clock.now()) == ChangeState.DRAFT:
        return _edit(change)
    return _shown(change)


@blueprint.get("/prices/<change_id>/rehearsal")
def rehearsal(change_id: str) -> ResponseReturnValue:
    """Who would have paid how much more, and who would run dry; a draft is published from here."""
    return _rehearsed(change_id, ConfirmForm())


@blueprint.get("/prices/<change_id>/rehearsal.csv")
def rehearsal_file(change_id: str) -> ResponseReturnValue:
    """The same for all owners, as a file."""
    change, found = _rehearse(change_id)
    return csv_answer(rehearsal_csv(found), f"zentry-rehearsal-{change.id}")


@blueprint.route("/prices/<change_id>/withdraw", methods=["GET", "POST"])
def withdraw_prices(change_id: str) -> ResponseReturnValue:
    """Take back what is announced, once it is clear who knows of it and what they will be told."""
    changes, actor, form = services().billing.price_changes, current_actor(), ConfirmForm()
    change = changes.get_change(change_id, actor=actor)
    if request.method == "POST" and form.submit(lambda: changes.withdraw(change_id, actor=actor)):
        done = _("The prices are withdrawn. Whoever was told of them is told so.")
        success(done if form.result else _("These prices are withdrawn already."))
        return go_to(url_for("admin.price_change", change_id=change_id))
    now = services().clock.now()
    if request.method == "GET" and change.state(now) != ChangeState.ANNOUNCED:
        return redirect(url_for("admin.price_change", change_id=change_id), 303)
    told = changes.list_told(change_id, limit=PAGE_SIZE, actor=actor)
    words = withdrawn_prices(change.starts_at, me().time_zone)
    return render_template("admin/price_withdraw.html", change=change, form=form, told=told, words=words), form.status


@blueprint.post("/prices/<change_id>/publish")
def publish_prices(change_id: str) -> ResponseReturnValue:
    """Publish what was rehearsed, and nothing else."""
    changes, actor, form = services().billing.price_changes, current_actor(), ConfirmForm()
    seal = request.form.get("seal", "")
    if not form.submit(lambda: changes.publish(change_id, actor=actor, seal=seal)):
        return _rehearsed(change_id, form)
    done = _("The prices are published. Owners of machines concerned are being told.")
    success(done if form.result else _("These prices are published already."))
    return redirect(url_for("admin.price_change", change_id=change_id), 303)


@blueprint.route("/prices/<change_id>/discard", methods=["GET", "POST"])
def discard_prices(change_id: str) -> ResponseReturnValue:
    """Throw a draft away, after a question."""
    changes, actor, back = (
        services().billing.price_changes,
        current_actor(),
        url_for("admin.price_change", change_id=change_id),
    )
    if request.method == "GET":
        title = changes.get_change(change_id, actor=actor).title
        text = _("Its prices are gone; they would have to be typed again. Nobody was told of them.")
        head = _("Throw “%(title)s” away?", title=title)
        return ask(Question(head, text, _("Throw it away"), back, "admin.prices", icon="trash"))
    changes.discard_draft(change_id, actor=actor)
    success(_("The draft is thrown away."))
    return redirect(url_for("admin.prices"), 303)


def _catalogue() -> tuple[list[Size], list[Image]]:
    vms = services().vms
    return vms.list_sizes(include_inactive=True), vms.list_images(include_inactive=True)


def _edit(change: PriceChange | None) -> ResponseReturnValue:
    sizes, images = _catalogue()
    zone = zone_of(me().time_zone)
    form = change_form(sizes, images, _typed(change, sizes, images, zone))
    if request.method == "POST" and form.submit(
        lambda: services().billing.price_changes.save_draft(
            form.text("title"), _start(form, zone), _items(form, sizes, images),
            change_id=change.id if change else None, actor=current_actor(),
        )
    ):  # fmt: skip
        if "rehearse" in request.form:
            return go_to(url_for("admin.rehearsal", change_id=form.result))
        success(_("The draft is saved. It is published from its rehearsal."))
        return go_to(url_for("admin.price_change", change_id=form.result))
    shown = {
        "change": change,
        "form": form,
        "sizes": sizes,
        "images": images,
        "notice": services().billing.price_changes.notice,
    }
    return render_template("admin/price_draft.html", **shown), form.status


def _typed(change: PriceChange | None, sizes: list[Size], images: list[Image], zone: tzinfo) -> dict[str, Any]:
    """What the form begins with: the draft's prices, else those announced or in force."""
    now = services().clock.now().astimezone(zone)
    default = (now + services().billing.price_changes.notice + timedelta(days=1)).replace(
        hour=0, minute=0, second=0, microsecond=0
    )
    starts = change.starts_at.astimezone(zone) if change else default
    data: dict[str, Any] = {"title": change.title if change else "", "starts": starts.replace(tzinfo=None)}
    for size in sizes:
        item = change.item(size.id) if change else None
        running, disk = _price(size)
        data[f"running_{size.id}"] = item.running_micro_per_hour if item else running
        data[f"disk_{size.id}"] = item.disk_micro_per_gib_hour if item else disk
    for image in images:
        item = change.item(image.id) if change else None
        data[f"surcharge_{image.id}"] = item.running_micro_per_hour if item else _surcharge(image)
    amounts = {name: _plain(value) for name, value in data.items() if isinstance(value, int)}
    return data | amounts


def _price(size: Size) -> tuple[int, int]:
    """What the size costs running and per GiB of disk: as announced, else as in force."""
    if size.coming is None:
        return size.running_micro_per_hour, size.disk_micro_per_gib_hour
    return size.coming.running_micro_per_hour, size.coming.stopped_micro_per_hour // size.disk_gib


def _surcharge(image: Image) -> int:
    return image.coming.running_micro_per_hour if image.coming else image.surcharge_micro_per_hour


def _plain(micro: int) -> str:
    return format_credits(micro).replace(",", "")


def _start(form: ChangeForm, zone: tzinfo) -> datetime:
    found = form.starts.data
    if found is None:
        text = _("Choose when they begin.")
        raise ValidationError(text, details={"starts_at": text})
    return found.replace(tzinfo=zone)


def _items(form: ChangeForm, sizes: list[Size], images: list[Image]) -> list[PriceItem]:
    """The prices typed that are not those in force, or announced."""
    items = []
    for size in sizes:
        running, disk = form[f"running_{size.id}"].micro or 0, form[f"disk_{size.id}"].micro or 0
        if (running, disk) != _price(size):
            items.append(PriceItem(ItemKind.SIZE, size.id, running, disk))
    for image in images:
        surcharge = form[f"surcharge_{image.id}"].micro or 0
        if surcharge != _surcharge(image):
            items.append(PriceItem(ItemKind.IMAGE, image.id, surcharge))
    return items


def _shown(change: PriceChange) -> ResponseReturnValue:
    shown = {"change": change, "names": _names(*_catalogue()), "now": services().clock.now()}
    return render_template("admin/price_change.html", **shown)


def _rehearsed(change_id: str, form: ConfirmForm) -> ResponseReturnValue:
    change, found = _rehearse(change_id)
    page = min(number_argument("page") or 1, 1 + len(found.owners) // PAGE_SIZE)
    shown: dict[str, Any] = {
        "rows": found.owners[(page - 1) * PAGE_SIZE : page * PAGE_SIZE],
        "previous_url": here(page=page - 1 if page > 2 else None) if page > 1 else None,
        "next_url": here(page=page + 1) if page * PAGE_SIZE < len(found.owners) else None,
    }
    if change.state(services().clock.now()) == ChangeState.DRAFT:
        sizes, images = _catalogue()
        shown |= {"names": _names(sizes, images), "before": _before(sizes, images)}
        shown["concerned"] = services().billing.price_changes.count_concerned(change_id, actor=current_actor())
    page_text = render_template(
        "admin/rehearsal.html", change=change, rehearsal=found, form=form, by_month=_is_by_month(), **shown
    )
    return page_text, form.status


def _names(sizes: list[Size], images: list[Image]) -> dict[str, str]:
    return {size.id: size.name for size in sizes} | {image.id: image.name for image in images}


def _before(sizes: list[Size], images: list[Image]) -> dict[str, tuple[int, int]]:
    """What each costs just before: as announced, else as in force."""
    return {size.id: _price(size) for size in sizes} | {image.id: (_surcharge(image), 0) for image in images}


def _is_by_month() -> bool:
    return text_argument("period") == "month"


def _rehearse(change_id: str) -> tuple[PriceChange, Rehearsal]:
    actor, now = current_actor(), services().clock.now()
    period = {} if _is_by_month() else {"start": now - RECENT, "end": now}
    change = services().billing.price_changes.get_change(change_id, actor=actor)
    return change, services().billing.price_rehearsal.rehearse(change_id, actor=actor, **period)
