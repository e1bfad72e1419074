"""For admins: one account. What it has, its credits, notes about it, its sessions, and who may log in to it."""

import secrets
from typing import Any

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from zentry_web.blueprints.admin.approvals import waiting_url
from zentry_web.blueprints.admin.forms import ConfirmForm, CreditForm, NoteForm, RoleForm, end_of
from zentry_web.blueprints.admin.routes import blueprint
from zentry_web.domain.language import _, ngettext
from zentry_web.domain.money import format_credits
from zentry_web.domain.user import Role
from zentry_web.web.input.columns import machines_shown
from zentry_web.web.input.questions import Question, ask, one_of
from zentry_web.web.output.activity import activity_lines
from zentry_web.web.output.flash import success
from zentry_web.web.output.htmx import go_to
from zentry_web.web.services import services
from zentry_web.web.session.actor import current_actor

RECENT = 10


def _done(form: CreditForm, name: str) -> str:
    credits = format_credits(form.amount.micro or 0)
    if form.direction.data == "promote":
        return _("%(credits)s promotional credits added to %(name)s.", credits=credits, name=name)
    if form.direction.data == "deduct":
        return _("%(credits)s credits removed from %(name)s.", credits=credits, name=name)
    return _("%(credits)s credits added to %(name)s.", credits=credits, name=name)


def _page(user_id: str, *, form: CreditForm | None = None, note: NoteForm | None = None) -> ResponseReturnValue:
    """The account's page, with the form that was refused, if one was. The number of statements is constant."""
    actor, billing, people, auth = (
        current_actor(), services().billing, services().users, services().auth,
    )  # fmt: skip
    person = people.get_user(user_id, actor=actor)
    form = form or CreditForm(formdata=None, data={"idempotency_key": secrets.token_hex(16)})
    note = note or NoteForm(formdata=None)
    vms = services().vms.list_vms(user_id, actor=actor, limit=RECENT)
    shown: dict[str, Any] = {
        "row": people.directory.list_by_ids([user_id], actor=actor)[0],
        "wallet": billing.get_balance(user_id, actor=actor),
        "transactions": billing.list_transactions(user_id, actor=actor, with_holds=False, limit=RECENT),
        "quota": services().vms.quotas.get_own(user_id, actor=actor),
        "vms": vms,
        "shown": machines_shown(vms.vms),
        "projects": services().projects.list_projects(user_id, actor=actor),
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
    form = CreditForm()
    person = services().users.get_user(user_id, actor=current_actor())
    if not form.submit(lambda: _change_credits(user_id, form)):
        return _page(user_id, form=form)
    if url := waiting_url(form.result):
        return go_to(url)
    success(_done(form, person.name))
    return go_to(url_for("admin.user", user_id=user_id))


def _change_credits(user_id: str, form: CreditForm) -> object:
    actor, billing, micro, why = current_actor(), services().billing, form.amount.micro or 0, form.text("description")
    key = form.idempotency_key.data or None
    if form.direction.data == "promote":
        end = end_of(form.last_day.data) if form.last_day.data else None
        return billing.promote(user_id, micro, why, expires_at=end, actor=actor, idempotency_key=key)
    if form.direction.data == "deduct":
        return billing.deduct_credits(user_id, micro, why, actor=actor, idempotency_key=key)
    return billing.add_credits(user_id, micro, why, actor=actor, idempotency_key=key)


def _url(user_id: str) -> str:
    return url_for("admin.user", user_id=user_id)


# -- notes --------------------------------------------------------------------------------------


@blueprint.post("/users/<user_id>/notes")
def add_note(user_id: str) -> ResponseReturnValue:
    """Append a note about the account."""
    form, notes, actor = NoteForm(), services().users.notes, current_actor()
    if not form.submit(lambda: notes.add(user_id, form.text("body"), actor=actor)):
        return _page(user_id, note=form)
    success(_("The note is kept."))
    return go_to(url_for("admin.user", user_id=user_id, _anchor="notes"))


@blueprint.route("/users/<user_id>/notes/<note_id>/delete", methods=["GET", "POST"])
def remove_note(user_id: str, note_id: str) -> ResponseReturnValue:
    """Delete a note of one's own."""
    if request.method == "GET":
        notes = services().users.notes.list_notes(user_id, actor=current_actor())
        text = _("It is gone for all admins: “%(note)s”", note=one_of(notes, note_id).text)
        title, button = _("Delete your note?"), _("Delete the note")
        return ask(Question(title, text, button, _url(user_id), "admin.users", icon="trash"))
    services().users.notes.remove(user_id, note_id, actor=current_actor())
    success(_("The note is deleted."))
    return redirect(url_for("admin.user", user_id=user_id, _anchor="notes"), 303)


# -- ways in ------------------------------------------------------------------------------------


@blueprint.route("/users/<user_id>/disable", methods=["GET", "POST"])
def disable_user(user_id: str) -> ResponseReturnValue:
    """Let an account log in no more, and end its sessions."""
    if request.method == "GET":
        name = services().users.get_user(user_id, actor=current_actor()).name
        text = _(
            "Every session and token ends at once, and nobody logs in to this account until it is enabled again. "
            "Its machines go on running and are billed."
        )
        title = _("Disable %(name)s?", name=name)
        return ask(Question(title, text, _("Disable"), _url(user_id), "admin.users", icon="user-off"))
    services().users.set_disabled(user_id, True, actor=current_actor())
    success(_("The account is disabled: it cannot log in any more."))
    return redirect(url_for("admin.user", user_id=user_id), 303)


@blueprint.post("/users/<user_id>/enable")
def enable_user(user_id: str) -> ResponseReturnValue:
    """Let an account log in again."""
    services().users.set_disabled(user_id, False, actor=current_actor())
    success(_("The account is enabled again."))
    return redirect(url_for("admin.user", user_id=user_id), 303)


@blueprint.route("/users/<user_id>/role", methods=["GET", "POST"])
def change_role(user_id: str) -> ResponseReturnValue:
    """Make an account an admin, or an ordinary one."""
    people, actor = services().users, current_actor()
    person = people.get_user(user_id, actor=actor)
    other = Role.USER if person.is_admin else Role.ADMIN
    form = RoleForm(data={"role": other} if request.method == "GET" else {})
    if request.method == "POST" and form.submit(
        lambda: people.access.change_role(user_id, Role(form.text("role")), actor=actor)
    ):
        if form.result.is_admin:
            success(_("%(name)s is now an admin.", name=person.name))
        else:
            success(_("%(name)s is now an ordinary user.", name=person.name))
        return go_to(url_for("admin.user", user_id=user_id))
    return render_template("admin/role.html", form=form, person=person, role=other), form.status


@blueprint.route("/users/<user_id>/reset-password", methods=["GET", "POST"])
def reset_password(user_id: str) -> ResponseReturnValue:
    """Make the password useless; its owner gets a link by mail that sets another."""
    people, actor, form = services().users, current_actor(), ConfirmForm()
    person = people.get_user(user_id, actor=actor)
    if request.method == "POST" and form.submit(lambda: people.access.force_reset(user_id, actor=actor)):
        success(_("The password is reset: %(email)s gets a link by mail.", email=person.email))
        return go_to(url_for("admin.user", user_id=user_id))
    return render_template("admin/reset.html", form=form, person=person), form.status


@blueprint.route("/users/<user_id>/password-link", methods=["GET", "POST"])
def password_link(user_id: str) -> ResponseReturnValue:
    """A link by which the person chooses a new password, shown this once: it is in no address and no log."""
    if request.method == "GET":
        name = services().users.get_user(user_id, actor=current_actor()).name
        text = _(
            "Every session ends, and the password of now is no use any more. You get a link, once, by which the person "
            "chooses another."
        )
        title = _("A password link for %(name)s?", name=name)
        return ask(Question(title, text, _("Make the link"), _url(user_id), "admin.users"))
    actor = current_actor()
    person = services().users.get_user(user_id, actor=actor)
    token = services().auth.make_password_link(user_id, actor=actor)
    link = url_for("auth.welcome", token=token, _external=True)
    return render_template("admin/password_link.html", person=person, link=link)


@blueprint.route("/users/<user_id>/sessions/end", methods=["GET", "POST"])
def end_user_sessions(user_id: str) -> ResponseReturnValue:
    """Sign every browser of the account out, and every program."""
    if request.method == "GET":
        name = services().users.get_user(user_id, actor=current_actor()).name
        text = _("Every browser and program is signed out. Who knows the password can log in again.")
        title = _("End all sessions of %(name)s?", name=name)
        return ask(Question(title, text, _("End them"), _url(user_id), "admin.users"))
    people, actor = services().users, current_actor()
    people.get_user(user_id, actor=actor)
    ended = services().auth.end_sessions(user_id, actor=actor)
    told = ngettext("Ended %(num)s session.", "Ended %(num)s sessions.", ended)
    success(told if ended else _("Nobody was signed in."))
    return redirect(url_for("admin.user", user_id=user_id), 303)


@blueprint.route("/users/<user_id>/sessions/<session_id>/end", methods=["GET", "POST"])
def end_user_session(user_id: str, session_id: str) -> ResponseReturnValue:
    """Sign one browser of the account out."""
    if request.method == "GET":
        found = one_of(services().auth.list_sessions(user_id, actor=current_actor()), session_id)
        text = _("%(device)s is signed out. Who knows the password can log in again.", device=found.device)
        return ask(Question(_("End the session?"), text, _("End it"), _url(user_id), "admin.users"))
    services().auth.end_session(user_id, session_id, actor=current_actor())
    success(_("That session is ended."))
    return redirect(url_for("admin.user", user_id=user_id), 303)
