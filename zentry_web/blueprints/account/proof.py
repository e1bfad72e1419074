"""Confirming who it is, before what a stolen session must not be enough for."""

from flask import Response, render_template, request, url_for
from flask.typing import ResponseReturnValue

from zentry_web.blueprints.account.forms import ProofByPasswordForm
from zentry_web.blueprints.account.routes import blueprint
from zentry_web.web.input.forms import CodeOrPasskeyForm
from zentry_web.web.services import services
from zentry_web.web.session.actor import current_actor, here
from zentry_web.web.session.proof import after_proof
from zentry_web.web.session.safe_next import safe_next


@blueprint.route("/confirm", methods=["GET", "POST"])
def confirm() -> ResponseReturnValue:
    """Ask for the factor (or the password, where there is none), then lead back."""
    user, actor = here(), current_actor()
    auth = services().auth
    target = safe_next(request.values.get("next", ""), url_for("account.security"))
    needed = auth.proofs.what_proves(user.id, actor=actor)
    form = CodeOrPasskeyForm() if needed else ProofByPasswordForm()
    if request.method == "POST":
        typed, answer = form.text("code" if needed else "password"), form.text("credential") if needed else ""
        if answer:
            done = form.submit(lambda: auth.passkeys.prove(user.id, user.session_token, answer, actor=actor))
        else:
            done = form.submit(lambda: auth.proofs.prove(user.id, user.session_token, typed, actor=actor))
        if done:
            return after_proof(target)
    ways = auth.oidc.ways_in(user.id, actor=actor)
    shown = {"factors": needed, "next": target, "ways": ways, "provider": auth.oidc.provider_name}
    return render_template("account/confirm.html", form=form, **shown), form.status


@blueprint.post("/confirm.json")
def confirm_options() -> ResponseReturnValue:
    """What the account's passkeys are asked as a proof."""
    user, passkeys = here(), services().auth.passkeys
    text = passkeys.begin_proof(user.id, user.session_token, actor=current_actor())
    return Response(text, mimetype="application/json")
