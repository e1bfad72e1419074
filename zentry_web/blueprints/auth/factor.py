"""The second step of a log-in, and the log-in by a passkey alone."""

from flask import Response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from zentry_web.blueprints.auth.forms import LoginForm, PasskeyLoginForm
from zentry_web.blueprints.auth.routes import blueprint
from zentry_web.domain.language import _
from zentry_web.domain.user import SignedIn
from zentry_web.services.errors import AuthenticationRequiredError
from zentry_web.web.input.forms import CodeOrPasskeyForm
from zentry_web.web.output.flash import warning
from zentry_web.web.output.htmx import go_to
from zentry_web.web.services import services
from zentry_web.web.session.actor import current_actor, public, session_token
from zentry_web.web.session.entering import browser_secret, enter, forget_waiting, waiting
from zentry_web.web.session.safe_next import safe_next


@blueprint.route("/login/factor", methods=["GET", "POST"])
@public
def login_factor() -> ResponseReturnValue:
    """The password was right: now the code of an app, a passkey or a recovery code."""
    auth, (secret, target) = services().auth, waiting()
    factors = auth.pending.find_factors(secret) if secret else None
    if factors is None:
        return begin_again(bool(secret))
    form = CodeOrPasskeyForm()
    if request.method == "POST":
        try:
            if form.submit(lambda: finish(secret, form.text("code"), form.text("credential"))):
                return enter(form.result, target)
        except AuthenticationRequiredError:
            return begin_again(True)
        if auth.pending.find_factors(secret) is None:  # that was the last attempt
            return begin_again(True)
    return render_template("auth/factor.html", form=form, factors=factors), form.status


def finish(secret: str, code: str, credential: str) -> SignedIn:
    """Bring what was given: a passkey's answer or a code."""
    auth, actor = services().auth, current_actor()
    if credential:
        return auth.passkeys.finish_factor(secret, credential, actor=actor, replaces=session_token())
    return auth.pending.finish_with_code(secret, code, actor=actor, replaces=session_token())


@blueprint.post("/login/factor.json")
@public
def factor_options() -> ResponseReturnValue:
    """What the account's passkeys are asked in a log-in that waits."""
    return json(services().auth.passkeys.begin_factor(waiting()[0]))


@blueprint.post("/login/passkey.json")
@public
def passkey_options() -> ResponseReturnValue:
    """What any passkey of this site is asked."""
    return json(services().auth.passkeys.begin_login(browser_secret(), actor=current_actor()))


@blueprint.post("/login/passkey")
@public
def passkey_login() -> ResponseReturnValue:
    """Sign in by a passkey, without a password."""
    wanted, passkeys = request.form.get("next", ""), services().auth.passkeys
    form, old = PasskeyLoginForm(), session_token()
    if form.submit(
        lambda: passkeys.login(browser_secret(), form.text("credential"), actor=current_actor(), replaces=old)
    ):
        return enter(form.result, safe_next(wanted, url_for("dashboard.overview")))
    shown = LoginForm(formdata=None)
    shown.form_errors.extend(form.form_errors or [_("No passkey was sent. Please try again.")])
    provider = services().auth.oidc.provider_name
    context = {"next": wanted, "passkeys": passkeys.possible, "provider": provider}
    return render_template("auth/login.html", form=shown, **context), form.status


def json(text: str) -> Response:
    """An answer that is JSON already."""
    return Response(text, mimetype="application/json", headers={"Cache-Control": "no-store"})


def begin_again(waited: bool) -> ResponseReturnValue:
    """Nothing waits (any more): back to the password."""
    target = waiting()[1]
    forget_waiting()
    if waited:
        warning(_("Please log in again: five minutes have passed, or too many codes were wrong."))
    if request.method == "GET":
        return redirect(url_for("auth.login", next=target or None), 303)
    return go_to(url_for("auth.login", next=target or None))
