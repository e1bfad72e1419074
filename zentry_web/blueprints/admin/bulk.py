"""For admins: one action on many accounts. Choose on the list, look at who and what, then do it."""

import secrets
from typing import Any

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from zentry_web.blueprints.admin.forms import BulkGrantForm, UserBulkForm
from zentry_web.blueprints.admin.routes import blueprint
from zentry_web.domain.language import _
from zentry_web.domain.list_keys import PEOPLE, checks_of
from zentry_web.domain.people.directory import BulkAction
from zentry_web.domain.query_language import MAX_SEARCH, ListSearch, parse_search
from zentry_web.domain.user import UserRow
from zentry_web.services.errors import ValidationError
from zentry_web.web.output.filters import viewer_zone
from zentry_web.web.output.flash import warning
from zentry_web.web.output.outcomes import outcomes
from zentry_web.web.services import services
from zentry_web.web.session.actor import current_actor

ACTIONS = {each.value for each in BulkAction}


def _everybody(text: str) -> ListSearch:
    """All that the list's search finds. Raises ValidationError where it makes no sense."""
    try:
        return ListSearch(parse_search(text, checks_of(PEOPLE)), viewer_zone())
    except ValueError as error:
        raise ValidationError(str(error)) from None


def _confirm(form: UserBulkForm, action: str, rows: list[UserRow]) -> ResponseReturnValue:
    return render_template("admin/bulk.html", form=form, action=action, rows=rows), form.status


def _form(action: str, *, fresh: bool) -> UserBulkForm:
    kind = BulkGrantForm if action == BulkAction.GRANT else UserBulkForm
    return kind(formdata=None, data={"action": action, "key": secrets.token_hex(16)}) if fresh else kind()


def _granted(form: UserBulkForm) -> dict[str, Any]:
    """Amount and reason, once the form has been looked at."""
    if not isinstance(form, BulkGrantForm):
        return {}
    return {"amount": form.amount.micro or 0, "reason": form.text("description")}


@blueprint.post("/users/bulk")
def bulk() -> ResponseReturnValue:
    """Who it would be done to, and what. Nothing is done yet."""
    action, text = request.form.get("action", ""), request.form.get("q", "")[:MAX_SEARCH]
    back = url_for("admin.users", q=text or None)
    if action not in ACTIONS:
        warning(_("Choose what to do."))
        return redirect(back, 303)
    try:
        everybody = _everybody(text) if request.form.get("all") else None
        rows = services().users.bulk.preview(
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
    service, form = services().users.bulk, _form(action, fresh=False)
    if form.submit(lambda: service.run(BulkAction(action), ids, form.text("key"), actor=actor, **_granted(form))):
        return render_template("admin/bulk_done.html", action=action, **outcomes(form.result))
    return _confirm(form, action, service.preview(ids, actor=actor))
