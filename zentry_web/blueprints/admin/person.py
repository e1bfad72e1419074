"""For admins: one account. What it has, its credits, notes about it, its sessions, and who may log in to it."""

import secrets
from typing import Any

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from zentry_web.blueprints.admin.approvals import waits
from zentry_web.blueprints.admin.forms import ConfirmForm, CreditForm, NoteForm, RoleForm
from zentry_web.blueprints.admin.routes import blueprint
from zentry_web.domain.books import Approval
from zentry_web.domain.user import Role
from zentry_web.web.activity import activity_lines
from zentry_web.web.actor import current_actor
from zentry_web.web.flash import success
from zentry_web.web.htmx import go_to, is_htmx
from zentry_web.web.services import services

RECENT = 10


def _page(user_id: str, *, form: CreditForm | None = None, note: NoteForm | None = None) -> ResponseReturnValue:
    """The account's page, with the form that was refused, if one was. The number of statements is constant."""
    actor, billing, people, auth = (
        current_actor(), services().get_billing_service(), services().get_user_service(), services().get_auth_service(),
    )  # fmt: skip
    person = people.get_user(user_id, actor=actor)
    form = form or CreditForm(formdata=None, data={"idempotency_key": secrets.token_hex(16)})
    note = note or NoteForm(formdata=None)
    shown: dict[str, Any] = {
        "row": people.directory.list_by_ids([user_id], actor=actor)[0],
        "wallet": billing.get_balance(user_id, actor=actor),
        "transactions": billing.list_transactions(user_id, actor=actor, with_holds=False, limit=RECENT),
        "quota": services().get_vm_service().quotas.get_own(user_id, actor=actor),
        "vms": services().get_vm_service().list_vms(user_id, actor=actor, limit=RECENT),
        "projects": services().get_project_service().list_projects(user_id, actor=actor),
        "sessions": auth.list_sessions(user_id, actor=actor),
        "factors": people.directory.count_factors(user_id, actor=actor),
        "sign_ins": activity_lines(people.list_sign_ins(user_id, actor=actor, limit=RECENT), with_address=True),
        "lines": activity_lines(people.list_activity(user_id, actor=actor, limit=RECENT), with_address=True),
        "notes": people.notes.list_notes(user_id, actor=actor),
        "mails": auth.verification.enabled,
    }
    page = render_template("admin/user.html", person=person, form=form, note=note, **shown)
    return page, max(form.status, note.status)


@blueprint.route("/users/<user_id>", methods=["GET", "POST"])
def user(user_id: str) -> ResponseReturnValue:
    """One account. A POST adds or deducts credits, with a reason."""
    if request.method == "GET":
        return _page(user_id)
    actor, billing, form = current_actor(), services().get_billing_service(), CreditForm()
    person = services().get_user_service().get_user(user_id, actor=actor)
    change = billing.deduct_credits if form.direction.data == "deduct" else billing.add_credits
    key = form.idempotency_key.data or None
    if not form.submit(
        lambda: change(user_id, form.amount.micro or 0, form.text("description"), actor=actor, idempotency_key=key)
    ):
        return _page(user_id, form=form)
    if isinstance(form.result, Approval):
        success(waits(form.result))
        return go_to(url_for("admin.approvals"))
    success(f"The credits of {person.name} are changed.")
    return go_to(url_for("admin.user", user_id=user_id))


# -- notes --------------------------------------------------------------------------------------


@blueprint.post("/users/<user_id>/notes")
def add_note(user_id: str) -> ResponseReturnValue:
    """Append a note about the account."""
    form, notes, actor = NoteForm(), services().get_user_service().notes, current_actor()
    if not form.submit(lambda: notes.add(user_id, form.text("body"), actor=actor)):
        return _page(user_id, note=form)
    success("The note is kept.")
    return go_to(url_for("admin.user", user_id=user_id, _anchor="notes"))


@blueprint.post("/users/<user_id>/notes/<note_id>/delete")
def remove_note(user_id: str, note_id: str) -> ResponseReturnValue:
    """Delete a note of one's own."""
    services().get_user_service().notes.remove(user_id, note_id, actor=current_actor())
    success("The note is deleted.")
    return redirect(url_for("admin.user", user_id=user_id, _anchor="notes"), 303)


# -- ways in ------------------------------------------------------------------------------------


@blueprint.post("/users/<user_id>/disable")
def disable_user(user_id: str) -> ResponseReturnValue:
    """Let an account log in no more, and end its sessions."""
    services().get_user_service().set_disabled(user_id, True, actor=current_actor())
    success("The account is disabled: it cannot log in any more.")
    return redirect(url_for("admin.user", user_id=user_id), 303)


@blueprint.post("/users/<user_id>/enable")
def enable_user(user_id: str) -> ResponseReturnValue:
    """Let an account log in again."""
    services().get_user_service().set_disabled(user_id, False, actor=current_actor())
    success("The account is enabled again.")
    return redirect(url_for("admin.user", user_id=user_id), 303)


@blueprint.route("/users/<user_id>/role", methods=["GET", "POST"])
def change_role(user_id: str) -> ResponseReturnValue:
    """Make an account an admin, or an ordinary one."""
    people, actor = services().get_user_service(), current_actor()
    person = people.get_user(user_id, actor=actor)
    other = Role.USER if person.is_admin else Role.ADMIN
    form = RoleForm(data={"role": other} if request.method == "GET" else {})
    if request.method == "POST" and form.submit(
        lambda: people.access.change_role(user_id, Role(form.text("role")), actor=actor)
    ):
        success(f"{person.name} is now {'an admin' if form.result.is_admin else 'an ordinary user'}.")
        return go_to(url_for("admin.user", user_id=user_id))
    template = "admin/_role.html" if is_htmx() else "admin/role.html"
    return render_template(template, form=form, person=person, role=other), form.status


@blueprint.route("/users/<user_id>/reset-password", methods=["GET", "POST"])
def reset_password(user_id: str) -> ResponseReturnValue:
    """Make the password useless; its owner gets a link by mail that sets another."""
    people, actor, form = services().get_user_service(), current_actor(), ConfirmForm()
    person = people.get_user(user_id, actor=actor)
    if request.method == "POST" and form.submit(lambda: people.access.force_reset(user_id, actor=actor)):
        success(f"The password is reset: {person.email} gets a link by mail.")
        return go_to(url_for("admin.user", user_id=user_id))
    template = "admin/_reset.html" if is_htmx() else "admin/reset.html"
    return render_template(template, form=form, person=person), form.status


@blueprint.post("/users/<user_id>/password-link")
def password_link(user_id: str) -> ResponseReturnValue:
    """A link by which the person chooses a new password, shown this once: it is in no address and no log."""
    actor = current_actor()
    person = services().get_user_service().get_user(user_id, actor=actor)
    token = services().get_auth_service().make_password_link(user_id, actor=actor)
    link = url_for("auth.welcome", token=token, _external=True)
    return render_template("admin/password_link.html", person=person, link=link)


@blueprint.post("/users/<user_id>/sessions/end")
def end_user_sessions(user_id: str) -> ResponseReturnValue:
    """Sign every browser of the account out, and every program."""
    people, actor = services().get_user_service(), current_actor()
    people.get_user(user_id, actor=actor)
    ended = services().get_auth_service().end_sessions(user_id, actor=actor)
    success("Nobody was signed in." if not ended else f"Ended {ended} session{'' if ended == 1 else 's'}.")
    return redirect(url_for("admin.user", user_id=user_id), 303)


@blueprint.post("/users/<user_id>/sessions/<session_id>/end")
def end_user_session(user_id: str, session_id: str) -> ResponseReturnValue:
    """Sign one browser of the account out."""
    services().get_auth_service().end_session(user_id, session_id, actor=current_actor())
    success("That session is ended.")
    return redirect(url_for("admin.user", user_id=user_id), 303)
