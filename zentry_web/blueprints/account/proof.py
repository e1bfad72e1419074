"""Confirming who it is, before what a stolen session must not be enough for."""

from flask import render_template, request, url_for
from flask.typing import ResponseReturnValue

from zentry_web.blueprints.account.forms import ProofByFactorForm, ProofByPasswordForm
from zentry_web.blueprints.account.routes import blueprint
from zentry_web.web.actor import current_actor, here
from zentry_web.web.htmx import go_to
from zentry_web.web.proof import take_kept_form
from zentry_web.web.safe_next import safe_next
from zentry_web.web.services import services


@blueprint.route("/confirm", methods=["GET", "POST"])
def confirm() -> ResponseReturnValue:
    """Ask for the factor (or the password, where there is none), then lead back."""
    user, actor = here(), current_actor()
    proofs = services().get_auth_service().proofs
    target = safe_next(request.values.get("next", ""), url_for("account.security"))
    needed = proofs.what_proves(user.id, actor=actor)
    form = ProofByFactorForm() if needed else ProofByPasswordForm()
    if request.method == "POST":
        typed = form.text("code" if needed else "password")
        if form.submit(lambda: proofs.prove(user.id, user.session_token, typed, actor=actor)):
            return go_on(target)
    return render_template("account/confirm.html", form=form, factors=needed, next=target), form.status


def go_on(target: str) -> ResponseReturnValue:
    """Back to where the person was; a form that was sent meanwhile waits for one more press."""
    kept = take_kept_form()
    if kept is None:
        return go_to(target)
    return render_template("account/confirmed.html", kept=kept, back=target)
