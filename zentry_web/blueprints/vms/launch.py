"""Launching machines: the form, the price that moves while one chooses, a key that is kept in passing."""

import secrets
from typing import Any

from flask import render_template, request, url_for
from flask.typing import ResponseReturnValue

from zentry_web.blueprints.vms.forms import LaunchForm
from zentry_web.blueprints.vms.routes import blueprint
from zentry_web.blueprints.vms.view import price_context
from zentry_web.domain.language import _
from zentry_web.domain.projects.project import ProjectAction
from zentry_web.domain.vms.catalogue import Size
from zentry_web.domain.vms.launch_source import LaunchSource, SourceKind
from zentry_web.domain.vms.vm import VM
from zentry_web.services.errors import NotFoundError, ValidationError
from zentry_web.web.input.forms import SHOWN_IN_FORM
from zentry_web.web.output.flash import success
from zentry_web.web.output.htmx import go_to
from zentry_web.web.services import services
from zentry_web.web.session.actor import current_actor, me


@blueprint.route("/new", methods=["GET", "POST"])
def create() -> ResponseReturnValue:
    """Launch one or several machines. Answers as soon as the order is written down. ``project`` in the address chooses
    one; ``like`` has the id of a machine whose choices are taken over."""
    actor, vms = current_actor(), services().vms
    form = LaunchForm(data={"idempotency_key": secrets.token_hex(16)} | _wanted_launch())
    if request.method == "POST" and "keep_key" in request.form:
        _keep_key(form)
    elif request.method == "POST":
        key, shown = form.idempotency_key.data or None, form.price_shown
        if form.submit(lambda: vms.create_vms(form.vm_data, me(), actor=actor, idempotency_key=key, shown=shown)):
            return go_to(_launched(form.result))
    choices = services().projects.list_choices(me().id, actor=actor, action=ProjectAction.LAUNCH)
    source = _source(*(form.text(f"{kind}_id") for kind in SourceKind))
    keys = services().users.ssh_keys.list_keys(me().id, actor=actor)
    sizes = vms.list_sizes()
    images = [source.image] if source else vms.list_launch_images([choice.id for choice in choices])
    form.offer(choices, sizes, images, keys)
    if request.method == "GET" and choices and not form.name.data:
        form.name.data = vms.suggest_name(form.text("project_id"), actor=actor)
    return render_template(
        "vms/launch.html",
        form=form,
        images=images,
        keys=keys,
        source=source,
        problems=_too_small(sizes, source),
        **price_context(sizes, images, form.vm_data),
    ), form.status


def _source(*ids: str) -> LaunchSource | None:
    """The snapshot or backup that is launched from; ``ids`` in the order of the kinds. Raises NotFoundError,
    PermissionDeniedError, ConflictError."""
    chosen = next(((kind, source_id) for kind, source_id in zip(SourceKind, ids, strict=True) if source_id), None)
    return services().vms.launching.sources.get(*chosen, actor=current_actor()) if chosen else None


def _too_small(sizes: list[Size], source: LaunchSource | None) -> dict[str, str]:
    """Why sizes cannot hold what is launched from, by id."""
    least = source.disk_gib if source else 0
    words = _("needs a disk of %(gib)s GiB", gib=least)
    return {size.id: words for size in sizes if size.disk_gib < least}


def _launched(vms: list[VM]) -> str:
    """Where it goes on: the machine's page, or the list of several."""
    vm, last = vms[0], vms[-1]
    if len(vms) == 1:
        success(
            _("%(name)s is on its way.", name=vm.name), _("Launch another like it"), url_for("vms.create", like=vm.id)
        )
        return url_for("vms.show", vm_id=vm.id)
    text = _(
        "%(number)s machines are on their way: %(first)s to %(last)s.", number=len(vms), first=vm.name, last=last.name
    )
    success(text)
    return url_for("vms.index")


def _keep_key(form: LaunchForm) -> None:
    """Put the pasted key into the account, and tick it; nothing is launched, and what was typed stays."""
    try:
        key = services().users.ssh_keys.add(me().id, form.text("ssh_key"), form.text("key_name"), actor=current_actor())
    except ValidationError as error:
        places = {"public_key": "ssh_key", "name": "key_name"}
        form.take(
            ValidationError(error.message, details={places.get(at, at): text for at, text in error.details.items()})
        )
    except SHOWN_IN_FORM as error:
        form.take(error)
    else:
        form.ssh_key_ids.data = [*(form.ssh_key_ids.data or []), key.id]
        form.ssh_key.data = form.key_name.data = ""
        success(_("%(name)s is among your SSH keys now, and ticked here.", name=key.name))


def _wanted_launch() -> dict[str, Any]:
    if request.method == "GET" and (source := _source(*(request.args.get(kind, "") for kind in SourceKind))):
        name = services().vms.suggest_name(source.project_id, after=source.vm_name, actor=current_actor())
        chosen = {"project_id": source.project_id, "size_id": source.size_id, "image_id": source.image.id}
        return chosen | {f"{source.kind}_id": source.id, "name": name}
    if request.method != "GET" or not (vm_id := request.args.get("like")):
        return {"project_id": request.args.get("project"), "image_id": request.args.get("image")}
    vms, actor = services().vms, current_actor()
    vm = vms.get_vm(vm_id, actor=actor, action=ProjectAction.LAUNCH)
    images = vms.list_launch_images([vm.project_id])
    image = next((image for image in images if image.name == vm.image_name), None)
    return {
        "project_id": vm.project_id,
        "name": vms.suggest_name(vm.project_id, after=vm.name, actor=actor),
        "size_id": vm.size_id,
        "image_id": image.id if image else None,
        "labels": ", ".join(label.text for label in vm.labels),
    }


@blueprint.get("/new/quote")
def quote() -> ResponseReturnValue:
    """What so many of the chosen size and image would cost in the chosen project: what moves while choosing."""
    vms = services().vms
    chosen = {name: request.args.get(name) for name in ("project_id", "size_id", "image_id", "count")}
    if source := _source(*(request.args.get(f"{kind}_id", "") for kind in SourceKind)):
        images = [source.image]
    else:
        choices = services().projects.list_choices(me().id, actor=current_actor(), action=ProjectAction.LAUNCH)
        images = vms.list_launch_images([choice.id for choice in choices])
    context = price_context(vms.list_sizes(), images, chosen)
    if context["size"] is None:
        raise NotFoundError(_("That size is not on offer any more."))
    return render_template("vms/quote.html", **context)
