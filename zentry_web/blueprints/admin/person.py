"""For admins: one account, its credits, and whether it may log in."""

import secrets

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from zentry_web.blueprints.admin.forms import CreditForm
from zentry_web.blueprints.admin.routes import blueprint
from zentry_web.domain.books import Approval
from zentry_web.web.activity import activity_lines
from zentry_web.web.actor import current_actor
from zentry_web.web.flash import success
from zentry_web.web.htmx import go_to
from zentry_web.web.services import services

RECENT = 10


@blueprint.route("/users/<user_id>", methods=["GET", "POST"])
def user(user_id: str) -> ResponseReturnValue:
    """One account. A POST adds or deducts credits, with a reason."""
    actor, billing, people = current_actor(), services().get_billing_service(), services().get_user_service()
    form = CreditForm(data={"idempotency_key": secrets.token_hex(16)})
    person = people.get_user(user_id, actor=actor)
    if request.method == "POST":
        change = billing.deduct_credits if form.direction.data == "deduct" else billing.add_credits
        key = form.idempotency_key.data or None
        if form.submit(
            lambda: change(user_id, form.amount.micro or 0, form.text("description"), actor=actor, idempotency_key=key)
        ):
            if isinstance(form.result, Approval):
                success("That is a large amount: it waits for a second admin, who has been told.")
                return go_to(url_for("admin.approvals"))
            success(f"The credits of {person.name} are changed.")
            return go_to(url_for("admin.user", user_id=user_id))
    return render_template(
        "admin/user.html",
        form=form,
        person=person,
        wallet=billing.get_balance(user_id, actor=actor),
        transactions=billing.list_transactions(user_id, actor=actor, limit=RECENT),
        quota=services().get_vm_service().quotas.get_own(user_id, actor=actor),
        vms=services().get_vm_service().list_vms(user_id, actor=actor, limit=RECENT),
        lines=activity_lines(people.list_activity(user_id, actor=actor, limit=RECENT), with_address=True),
    ), form.status


@blueprint.post("/users/<user_id>/disable")
def disable_user(user_id: str) -> ResponseReturnValue:
    """Let an account log in no more, and end its sessions."""
    services().get_user_service().set_disabled(user_id, True, actor=current_actor())
    success("The account is disabled: it cannot log in any more.")
    return redirect(url_for("admin.user", user_id=user_id), 303)


@blueprint.post("/users/<user_id>/password-link")
def password_link(user_id: str) -> ResponseReturnValue:
    """A link by which the person chooses a new password, shown this once: it is in no address and no log."""
    actor = current_actor()
    person = services().get_user_service().get_user(user_id, actor=actor)
    token = services().get_auth_service().make_password_link(user_id, actor=actor)
    link = url_for("auth.welcome", token=token, _external=True)
    return render_template("admin/password_link.html", person=person, link=link)


@blueprint.post("/users/<user_id>/enable")
def enable_user(user_id: str) -> ResponseReturnValue:
    """Let an account log in again."""
    services().get_user_service().set_disabled(user_id, False, actor=current_actor())
    success("The account is enabled again.")
    return redirect(url_for("admin.user", user_id=user_id), 303)
