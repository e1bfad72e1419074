"""Tokens for programs, made by hand."""

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from zentry_web.blueprints.account.forms import TokenForm
from zentry_web.blueprints.account.routes import blueprint
from zentry_web.web.actor import current_actor, me
from zentry_web.web.flash import success
from zentry_web.web.services import services


@blueprint.route("/tokens", methods=["GET", "POST"])
def tokens() -> ResponseReturnValue:
    """One's tokens; a POST makes one and shows its secret, this once."""
    user, actor, form = me(), current_actor(), TokenForm()
    api_tokens = services().get_auth_service().tokens
    secret = ""
    if request.method == "POST":
        scopes, days = form.scopes.data or [], form.days.data or 0
        if form.submit(lambda: api_tokens.create_personal(user.id, form.text("name"), scopes, days, actor=actor)):
            secret = form.result
            form = TokenForm(formdata=None)
    found = api_tokens.list_personal(user.id, actor=actor)
    return render_template("account/tokens.html", form=form, tokens=found, secret=secret), form.status


@blueprint.post("/tokens/<token_id>/end")
def end_token(token_id: str) -> ResponseReturnValue:
    """End a token: programs that use it are out at once."""
    services().get_auth_service().tokens.end_personal(me().id, token_id, actor=current_actor())
    success("That token is ended.")
    return redirect(url_for("account.tokens"), 303)
