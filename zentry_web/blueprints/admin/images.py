"""Images: what there is, adding one by its address, building one, its versions."""

from collections.abc import Callable
from typing import Any

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from zentry_web.blueprints.admin.forms import ImageFactsForm, ImageForm, OfferForm
from zentry_web.blueprints.admin.routes import blueprint
from zentry_web.domain.language import _, lazy
from zentry_web.domain.vms.catalogue import Image
from zentry_web.domain.vms.image import RECIPES, VersionState
from zentry_web.web.input.questions import Question, ask, one_of
from zentry_web.web.output.flash import success
from zentry_web.web.output.htmx import go_to
from zentry_web.web.output.regions import memory
from zentry_web.web.services import services
from zentry_web.web.session.actor import current_actor

# What is asked before it is done to a version: the word on its button, what is said first, and what afterwards.
DEEDS = {
    "cancel": (lazy("Cancel it"), lazy("What there is of it is thrown away."), lazy("It is being cancelled.")),
    "withdraw": (
        lazy("Withdraw"),
        lazy("Launches take the version before it, if there is one. Machines made from it go on as they are."),
        lazy("The version is no longer on offer."),
    ),
    "remove": (
        lazy("Remove"),
        lazy("It goes from the host as soon as no machine is based on it, also none in the recycle bin."),
        lazy("It goes from the host as soon as no machine is based on it."),
    ),
}


@blueprint.get("/images")
def images() -> ResponseReturnValue:
    """All images, which of them the hypervisor has, and what can be built."""
    service, actor = services().vms, current_actor()
    entries = service.images.list_entries(actor=actor)
    prices = {image.id: image for image in service.list_images(include_inactive=True)}
    return render_template(
        "admin/images.html",
        entries=entries,
        prices=prices,
        recipes=service.images.missing_recipes(entries),
        compute=service.get_compute_status(),
    )


@blueprint.route("/images/new", methods=["GET", "POST"])
def new_image() -> ResponseReturnValue:
    """Have an image fetched, or the next version of the one whose id is ``image_id``."""
    service, actor = services().vms.images, current_actor()
    form = ImageForm(data={"image_id": request.args.get("image_id", "")})
    form.offer()
    wanted = form.text("image_id")
    image = one_of(_all(), wanted) if wanted else None
    data = form.facts | {name: form.text(name) for name in ("address", "sha256", "image_id")}
    if request.method == "POST" and form.submit(lambda: service.add_address(data, actor=actor)):
        success(_("It is being fetched. This page says how far it is."))
        return go_to(url_for("admin.images"))
    hosts = service.limits().hosts
    return render_template("admin/image_new.html", form=form, image=image, hosts=hosts), form.status


@blueprint.post("/images/build/<recipe>")
def build_image(recipe: str) -> ResponseReturnValue:
    """Have an image built from Debian's packages, or its next version."""
    services().vms.images.build(recipe, actor=current_actor())
    success(_("%(name)s is being built. This page says how far it is.", name=RECIPES[recipe]))
    return redirect(url_for("admin.images"), 303)


@blueprint.route("/images/<image_id>", methods=["GET", "POST"])
def offer_image(image_id: str) -> ResponseReturnValue:
    """Put an image on offer or take it off."""
    if request.method == "GET":
        name = one_of(_all(), image_id).name
        text = _("Nobody launches from it any more. Machines made from it go on as they are.")
        title = _("Withdraw %(name)s?", name=name)
        return ask(Question(title, text, _("Withdraw"), url_for("admin.images"), "admin.images", icon="ban"))
    active = bool(OfferForm().active.data)
    services().vms.update_image(image_id, {"active": active}, actor=current_actor())
    success(_("The image is on offer.") if active else _("The image is no longer on offer."))
    return redirect(url_for("admin.images"), 303)


@blueprint.get("/images/<image_id>/versions")
def image_versions(image_id: str) -> ResponseReturnValue:
    """One image: what it says of itself, and all its versions."""
    service = services().vms
    entry = service.images.get_entry(image_id, actor=current_actor())
    return render_template("admin/image.html", entry=entry, compute=service.get_compute_status())


@blueprint.route("/images/<image_id>/edit", methods=["GET", "POST"])
def edit_image(image_id: str) -> ResponseReturnValue:
    """Change what an image says of itself."""
    service, actor = services().vms.images, current_actor()
    image = service.get_entry(image_id, actor=actor).image
    form = ImageFactsForm(data=_as_typed(image))
    form.offer()
    if request.method == "POST" and form.submit(lambda: service.describe(image_id, form.facts, actor=actor)):
        success(_("The image is described anew. Machines keep what they have."))
        return go_to(url_for("admin.image_versions", image_id=image_id))
    return render_template("admin/image_edit.html", form=form, image=image), form.status


@blueprint.route("/images/versions/<version_id>/<any(cancel, withdraw, remove):deed>", methods=["GET", "POST"])
def end_version(version_id: str, deed: str) -> ResponseReturnValue:
    """Cancel, withdraw or remove one version of an image."""
    service, actor = services().vms.images, current_actor()
    word, text, done = DEEDS[deed]
    version = service.get_version(version_id, actor=actor)
    back = url_for("admin.image_versions", image_id=version.image_id)
    if request.method == "GET":
        name = service.get_entry(version.image_id, actor=actor).image.name
        title = _("%(deed)s: %(name)s, version %(number)s?", deed=word, name=name, number=version.number)
        return ask(Question(title, str(text), str(word), back, "admin.images", icon="ban"))
    change: Callable[..., None] = getattr(service, deed)
    change(version_id, actor=actor)
    success(str(done))
    return redirect(back, 303)


@blueprint.post("/images/versions/<version_id>/again")
def renew_version(version_id: str) -> ResponseReturnValue:
    """Try again a version that was not made; offer again one that was withdrawn."""
    service, actor = services().vms.images, current_actor()
    version = service.get_version(version_id, actor=actor)
    if version.state == VersionState.FAILED:
        service.retry(version_id, actor=actor)
        success(_("It is tried again."))
    else:
        service.offer(version_id, actor=actor)
        success(_("The version is on offer."))
    return redirect(url_for("admin.image_versions", image_id=version.image_id), 303)


def _all() -> list[Image]:
    return services().vms.list_images(include_inactive=True)


def _as_typed(image: Image) -> dict[str, Any]:
    return {
        "name": image.name,
        "description": image.description,
        "memory": memory(image.min_memory_mib),
        "gib": str(image.min_disk_gib),
        "default_user": image.default_user,
        "first_login": image.first_login,
        "user_data": image.user_data.value,
    }
