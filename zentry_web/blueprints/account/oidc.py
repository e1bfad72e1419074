"""Linking the account to an OpenID provider's, and proving through it who one is."""

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from zentry_web.blueprints.account.routes import blueprint
from zentry_web.domain.oidc import OidcPurpose
from zentry_web.web.actor import current_actor, me
from zentry_web.web.entering import browser_secret
from zentry_web.web.flash import success
from zentry_web.web.headers import secret_page
from zentry_web.web.safe_next import safe_next
from zentry_web.web.services import services


@blueprint.post("/oidc/link")
def link_identity() -> ResponseReturnValue:
    """Off to the provider, to link its account to this one."""
    return _off(OidcPurpose.LINK, "")


@blueprint.post("/oidc/confirm")
def confirm_by_provider() -> ResponseReturnValue:
    """Off to the provider, to prove who it is."""
    return _off(OidcPurpose.PROVE, safe_next(request.form.get("next", ""), ""))


@blueprint.post("/oidc/<identity_id>/unlink")
def unlink_identity(identity_id: str) -> ResponseReturnValue:
    """Let the provider's account in no more."""
    services().get_auth_service().oidc.unlink(me().id, identity_id, actor=current_actor())
    success("That is unlinked.")
    return redirect(url_for("account.security"), 303)


def _off(purpose: OidcPurpose, target: str) -> ResponseReturnValue:
    oidc = services().get_auth_service().oidc
    departure = oidc.begin(browser_secret(), actor=current_actor(), purpose=purpose, user_id=me().id, target=target)
    return secret_page(render_template("auth/leaving.html", departure=departure))
