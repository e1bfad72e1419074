"""For admins: one action on many accounts. Choose on the list, look at who and what, then do it."""

import secrets
from typing import Any

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from zentry_web.blueprints.admin.forms import BulkForm, BulkGrantForm
from zentry_web.blueprints.admin.people import filter_fields, wanted_people
from zentry_web.blueprints.admin.routes import blueprint
from zentry_web.domain.directory import BulkAction
from zentry_web.domain.user import UserRow
from zentry_web.services.errors import ValidationError
from zentry_web.web.actor import current_actor
from zentry_web.web.flash import warning
from zentry_web.web.outcomes import outcomes
from zentry_web.web.services import services

ACTIONS = {each.value for each in BulkAction}


def _confirm(form: BulkForm, action: str, rows: list[UserRow]) -> ResponseReturnValue:
    return render_template("admin/bulk.html", form=form, action=action, rows=rows), form.status


def _form(action: str, *, fresh: bool) -> BulkForm:
    kind = BulkGrantForm if action == BulkAction.GRANT else BulkForm
    return kind(formdata=None, data={"action": action, "key": secrets.token_hex(16)}) if fresh else kind()


def _granted(form: BulkForm) -> dict[str, Any]:
    """Amount and reason, once the form has been looked at."""
    if not isinstance(form, BulkGrantForm):
        return {}
    return {"amount": form.amount.micro or 0, "reason": form.text("description")}


@blueprint.post("/users/bulk")
def bulk() -> ResponseReturnValue:
    """Who it would be done to, and what. Nothing is done yet."""
    action, wanted = request.form.get("action", ""), wanted_people(request.form)
    everybody = wanted if request.form.get("all") else None
    back = url_for("admin.users", **filter_fields(wanted))
    if action not in ACTIONS:
        warning("Choose what to do.")
        return redirect(back, 303)
    try:
        rows = services().get_user_service().bulk.preview(
            request.form.getlist("id"), everybody, actor=current_actor()
        )  # fmt: skip
    except ValidationError as error:
        warning(error.message)
        return redirect(back, 303)
    return _confirm(_form(action, fresh=True), action, rows)


@blueprint.post("/users/bulk/run")
def run_bulk() -> ResponseReturnValue:
    """Do it, and list what became of each account."""
    action, ids, actor = request.form.get("action", ""), request.form.getlist("id"), current_actor()
    service, form = services().get_user_service().bulk, _form(action, fresh=False)
    if form.submit(lambda: service.run(BulkAction(action), ids, form.text("key"), actor=actor, **_granted(form))):
        return render_template("admin/bulk_done.html", action=action, **outcomes(form.result))
    return _confirm(form, action, service.preview(ids, actor=actor))
