"""Changing a machine's size: the choice with its price before and after, and the order."""

import secrets
from typing import Any

from flask import render_template, request, url_for
from flask.typing import ResponseReturnValue

from zentry_web.blueprints.vms.forms import ResizeForm
from zentry_web.blueprints.vms.routes import blueprint
from zentry_web.domain.project import ProjectAction
from zentry_web.domain.resize import ResizeQuote
from zentry_web.domain.vm import VM, Size
from zentry_web.web.actor import current_actor
from zentry_web.web.flash import success
from zentry_web.web.htmx import go_to, is_htmx
from zentry_web.web.services import services


@blueprint.route("/<vm_id>/resize", methods=["GET", "POST"])
def resize(vm_id: str) -> ResponseReturnValue:
    """Choose another size; ordered, the machine's page shows the steps."""
    vms, actor = services().get_vm_service(), current_actor()
    form = ResizeForm(data={"idempotency_key": secrets.token_hex(16), "size_id": request.args.get("size_id")})
    if request.method == "POST":
        key, size_id = form.idempotency_key.data or None, form.text("size_id")
        if form.submit(lambda: vms.resize_vm(vm_id, size_id, actor=actor, idempotency_key=key)):
            success("The new size is ordered.")
            return go_to(url_for("vms.show", vm_id=vm_id))
    template = "vms/_resize_form.html" if is_htmx() else "vms/resize.html"
    return render_template(template, form=form, **_context(vm_id, form.text("size_id"))), form.status


@blueprint.get("/<vm_id>/resize/quote")
def resize_quote(vm_id: str) -> ResponseReturnValue:
    """What the chosen size would cost: the part of the page that moves while choosing."""
    return render_template("vms/_resize_quote.html", **_context(vm_id, request.args.get("size_id", "")))


def _context(vm_id: str, size_id: str) -> dict[str, Any]:
    vms, actor = services().get_vm_service(), current_actor()
    vm = vms.get_vm(vm_id, actor=actor, action=ProjectAction.RESIZE)
    choices = vms.resizing.list_choices(vm_id, actor=actor)
    possible = [choice.size for choice in choices if not choice.problem]
    chosen = next((size for size in possible if size.id == size_id), possible[0] if possible else None)
    return {
        "vm": vm,
        "sizes": [choice.size for choice in choices],
        "problems": {choice.size.id: choice.problem for choice in choices if choice.problem},
        "chosen": chosen,
        "quote": _quote(vm, chosen) if chosen else None,
        "room": vms.resizing.get_room(vm, chosen, actor=actor) if chosen else None,
    }


def _quote(vm: VM, size: Size) -> ResizeQuote:
    return services().get_billing_service().resizes.quote(vm.owner_id, vm, size)
