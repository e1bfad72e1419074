"""Linking the account to an OpenID provider's, and proving through it who one is."""

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from zentry_web.blueprints.account.routes import blueprint
from zentry_web.domain.language import _
from zentry_web.domain.people.oidc import OidcPurpose
from zentry_web.web.input.questions import Question, ask, one_of
from zentry_web.web.output.flash import success
from zentry_web.web.output.headers import secret_page
from zentry_web.web.services import services
from zentry_web.web.session.actor import current_actor, me
from zentry_web.web.session.entering import browser_secret
from zentry_web.web.session.safe_next import safe_next


@blueprint.post("/oidc/link")
def link_identity() -> ResponseReturnValue:
    """Off to the provider, to link its account to this one."""
    return _off(OidcPurpose.LINK, "")


@blueprint.post("/oidc/confirm")
def confirm_by_provider() -> ResponseReturnValue:
    """Off to the provider, to prove who it is."""
    return _off(OidcPurpose.PROVE, safe_next(request.form.get("next", ""), ""))


@blueprint.route("/oidc/<identity_id>/unlink", methods=["GET", "POST"])
def unlink_identity(identity_id: str) -> ResponseReturnValue:
    """Let the provider's account in no more."""
    if request.method == "GET":
        ways = services().auth.oidc.ways_in(me().id, actor=current_actor())
        one_of(ways.identities, identity_id)
        text = _("That account lets you in here no more. It can be linked again.")
        return ask(Question(_("Unlink it?"), text, _("Unlink"), url_for("account.security"), "account"))
    services().auth.oidc.unlink(me().id, identity_id, actor=current_actor())
    success(_("That is unlinked."))
    return redirect(url_for("account.security"), 303)


def _off(purpose: OidcPurpose, target: str) -> ResponseReturnValue:
    oidc = services().auth.oidc
    departure = oidc.begin(browser_secret(), actor=current_actor(), purpose=purpose, user_id=me().id, target=target)
    return secret_page(render_template("auth/leaving.html", departure=departure))
