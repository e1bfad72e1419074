"""Tokens for programs, made by hand."""

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from zentry_web.blueprints.account.forms import TokenForm
from zentry_web.blueprints.account.routes import blueprint
from zentry_web.domain.language import _
from zentry_web.web.input.questions import Question, ask, one_of
from zentry_web.web.output.flash import success
from zentry_web.web.services import services
from zentry_web.web.session.actor import current_actor, me


@blueprint.route("/tokens", methods=["GET", "POST"])
def tokens() -> ResponseReturnValue:
    """One's tokens; a POST makes one and shows its secret, this once."""
    user, actor, form = me(), current_actor(), TokenForm()
    api_tokens = services().auth.tokens
    secret = ""
    if request.method == "POST":
        scopes, days = form.scopes.data or [], form.days.data or 0
        if form.submit(lambda: api_tokens.create_personal(user.id, form.text("name"), scopes, days, actor=actor)):
            secret = form.result
            form = TokenForm(formdata=None)
    found = api_tokens.list_personal(user.id, actor=actor)
    return render_template("account/tokens.html", form=form, tokens=found, secret=secret), form.status


@blueprint.route("/tokens/<token_id>/end", methods=["GET", "POST"])
def end_token(token_id: str) -> ResponseReturnValue:
    """End a token: programs that use it are out at once."""
    if request.method == "GET":
        found = services().auth.tokens.list_personal(me().id, actor=current_actor())
        name = one_of(found, token_id).name
        text = _("Programs that use it are out at once. It cannot be made valid again, only replaced by another.")
        return ask(
            Question(_("End the token “%(name)s”?", name=name), text, _("End it"), url_for("account.tokens"), "account")
        )
    services().auth.tokens.end_personal(me().id, token_id, actor=current_actor())
    success(_("That token is ended."))
    return redirect(url_for("account.tokens"), 303)
