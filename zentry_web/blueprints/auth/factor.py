"""The second step of a log-in."""

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from zentry_web.blueprints.auth.forms import FactorForm
from zentry_web.blueprints.auth.routes import blueprint
from zentry_web.services.errors import AuthenticationRequiredError
from zentry_web.web.actor import current_actor, public, signed_in_user
from zentry_web.web.entering import enter, forget_waiting, waiting
from zentry_web.web.flash import warning
from zentry_web.web.htmx import go_to
from zentry_web.web.services import services


@blueprint.route("/login/factor", methods=["GET", "POST"])
@public
def login_factor() -> ResponseReturnValue:
    """The password was right: now the code of an app, or a recovery code."""
    pending, (secret, target) = services().get_auth_service().pending, waiting()
    factors = pending.find_factors(secret) if secret else None
    if factors is None:
        return begin_again(bool(secret))
    form = FactorForm()
    if request.method == "POST":
        old = signed_in_user()
        replaces = old.session_token if old else None
        try:
            if form.submit(
                lambda: pending.finish_with_code(secret, form.text("code"), actor=current_actor(), replaces=replaces)
            ):
                return enter(form.result, target)
        except AuthenticationRequiredError:
            return begin_again(True)
        if pending.find_factors(secret) is None:  # that was the last attempt
            return begin_again(True)
    return render_template("auth/factor.html", form=form, factors=factors), form.status


def begin_again(waited: bool) -> ResponseReturnValue:
    """Nothing waits (any more): back to the password."""
    target = waiting()[1]
    forget_waiting()
    if waited:
        warning("Please log in again: five minutes have passed, or too many codes were wrong.")
    if request.method == "GET":
        return redirect(url_for("auth.login", next=target or None), 303)
    return go_to(url_for("auth.login", next=target or None))
