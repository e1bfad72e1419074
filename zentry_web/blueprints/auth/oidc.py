"""To the OpenID provider and back."""

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from zentry_web.blueprints.auth.forms import LoginForm
from zentry_web.blueprints.auth.routes import blueprint
from zentry_web.domain.language import _
from zentry_web.domain.people.oidc import Departure, Linked, MailSent, Proved
from zentry_web.services.errors import AuthenticationRequiredError, ServiceError
from zentry_web.web.input.forms import SHOWN_IN_FORM
from zentry_web.web.output.flash import success
from zentry_web.web.output.headers import secret_page
from zentry_web.web.services import services
from zentry_web.web.session.actor import current_actor, public, session_token, signed_in_user
from zentry_web.web.session.come_back import invitation, where_to
from zentry_web.web.session.entering import browser_secret, enter
from zentry_web.web.session.proof import after_proof
from zentry_web.web.session.safe_next import safe_next

SHOWN = (*SHOWN_IN_FORM, AuthenticationRequiredError)
EXPECTED = ("state", "code", "error", "iss")


@blueprint.post("/login/oidc")
@public
def oidc_begin() -> ResponseReturnValue:
    """Off to the provider. A page of its own leads there: forms may only be sent to this site."""
    wanted = safe_next(request.form.get("next", ""), "")
    try:
        departure = services().auth.oidc.begin(browser_secret(), actor=current_actor(), target=wanted)
    except SHOWN as error:
        return login_page(error, wanted)
    return leaving(departure)


@blueprint.get("/login/oidc/callback")
@public
def oidc_callback() -> ResponseReturnValue:
    """Back from the provider."""
    auth, back = services().auth, {name: request.args.get(name, "") for name in EXPECTED}
    answer = {name: value for name, value in back.items() if value}
    try:
        outcome, target = auth.oidc.finish(
            browser_secret(),
            answer,
            actor=current_actor(),
            session_token=session_token(),
            invitation=invitation(),
        )
    except SHOWN as error:
        if signed_in_user() is not None:
            raise
        return login_page(error, "")
    if isinstance(outcome, MailSent):
        return redirect(url_for("auth.check_mail"), 303)
    if isinstance(outcome, Proved):
        return after_proof(safe_next(target, url_for("account.security")))
    if isinstance(outcome, Linked):
        success(_("%(provider)s lets you in from now on.", provider=auth.oidc.provider_name))
        return redirect(url_for("account.security"), 303)
    return enter(outcome, safe_next(target, where_to(url_for("dashboard.overview"))))


def leaving(departure: Departure) -> ResponseReturnValue:
    """A page that leads to the provider at once, by itself or by its link."""
    return secret_page(render_template("auth/leaving.html", departure=departure))


def login_page(error: ServiceError, wanted: str) -> ResponseReturnValue:
    """The log-in with the reason why nobody was signed in; the password still works."""
    form, auth = LoginForm(formdata=None), services().auth
    form.take(error)
    shown = {"next": wanted, "passkeys": auth.passkeys.possible, "provider": auth.oidc.provider_name}
    return render_template("auth/login.html", form=form, **shown), form.status
