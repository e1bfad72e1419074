"""Changing a machine's size: the choice with its price before and after, and the order."""

import secrets
from dataclasses import replace
from typing import Any

from flask import render_template, request, url_for
from flask.typing import ResponseReturnValue

from zentry_web.blueprints.vms.forms import ResizeForm
from zentry_web.blueprints.vms.routes import blueprint
from zentry_web.domain.language import _
from zentry_web.domain.projects.project import ProjectAction
from zentry_web.domain.vms.catalogue import Size
from zentry_web.domain.vms.plan import ChangePlan, resize_facts
from zentry_web.domain.vms.resize import ResizeQuote
from zentry_web.domain.vms.vm import VM
from zentry_web.web.output.flash import success
from zentry_web.web.output.htmx import go_to
from zentry_web.web.services import services
from zentry_web.web.session.actor import current_actor


@blueprint.route("/<vm_id>/resize", methods=["GET", "POST"])
def resize(vm_id: str) -> ResponseReturnValue:
    """Choose another size; ordered, the machine's page shows the steps."""
    vms, actor = services().vms, current_actor()
    form = ResizeForm(data={"idempotency_key": secrets.token_hex(16), "size_id": request.args.get("size_id")})
    if request.method == "POST":
        key, size_id = form.idempotency_key.data or None, form.text("size_id")
        shown, plan = form.price_shown, form.plan_shown
        if form.submit(lambda: vms.resize_vm(vm_id, size_id, actor=actor, idempotency_key=key, shown=shown, plan=plan)):
            href = url_for("operations.show", operation_id=form.result.id)
            success(_("The new size is ordered."), _("Steps"), href)
            return go_to(url_for("vms.show", vm_id=vm_id))
    return render_template("vms/resize.html", form=form, **_context(vm_id, form.text("size_id"))), form.status


@blueprint.get("/<vm_id>/resize/quote")
def resize_quote(vm_id: str) -> ResponseReturnValue:
    """What the chosen size would cost: the part of the page that moves while choosing."""
    return render_template("vms/_resize_quote.html", **_context(vm_id, request.args.get("size_id", "")))


def _context(vm_id: str, size_id: str) -> dict[str, Any]:
    vms, actor = services().vms, current_actor()
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
        "plan": _plan(vm, chosen) if chosen else None,
        "room": vms.resizing.get_room(vm, chosen, actor=actor) if chosen else None,
    }


def _plan(vm: VM, size: Size) -> ChangePlan:
    becomes = replace(
        vm,
        vcpus=size.vcpus,
        memory_mib=size.memory_mib,
        disk_gib=size.disk_gib,
        running_micro_per_hour=size.running_micro_per_hour,
        stopped_micro_per_hour=size.stopped_micro_per_hour,
    )
    return services().vms.planning.compare([vm], [becomes], resize_facts(vm, size), actor=current_actor())


def _quote(vm: VM, size: Size) -> ResizeQuote:
    return services().billing.resizes.quote(vm.owner_id, vm, size)
