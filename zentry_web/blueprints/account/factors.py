"""Setting second factors up and taking them away."""

from flask import Response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from zentry_web.blueprints.account.forms import AppForm, PasskeyForm
from zentry_web.blueprints.account.routes import blueprint
from zentry_web.domain.language import _
from zentry_web.web.input.questions import Question, ask, one_of
from zentry_web.web.output.flash import success
from zentry_web.web.output.htmx import go_to
from zentry_web.web.output.qr import qr_data_uri
from zentry_web.web.services import services
from zentry_web.web.session.actor import current_actor, here
from zentry_web.web.session.entering import after_setup, set_up_for
from zentry_web.web.session.safe_next import safe_next


@blueprint.get("/factors/needed")
def factor_needed() -> ResponseReturnValue:
    """Why an admin without a second factor gets no further; afterwards it goes on to ``next``."""
    target = safe_next(request.args.get("next", ""), "")
    if not here().lacks_factor:
        return redirect(target or url_for("admin.overview" if here().is_admin else "account.security"), 303)
    set_up_for(target)
    possible = services().auth.passkeys.possible
    return render_template("account/factor_needed.html", passkeys=possible)


@blueprint.route("/factors/app", methods=["GET", "POST"])
def factor_app() -> ResponseReturnValue:
    """Scan a picture with an authenticator app, and give the code it shows."""
    user, actor, form = here(), current_actor(), AppForm()
    factors = services().auth.factors
    if request.method == "POST":
        sealed, code = form.text("sealed"), form.text("code")
        if form.submit(
            lambda: factors.confirm_app(user.id, sealed, code, actor=actor, session_token=user.session_token)
        ):
            if form.result:
                return render_template("account/recovery_codes.html", codes=form.result, first=True, then=after_setup())
            success(_("The authenticator app is set up."))
            return go_to(url_for("account.security"))
        setup = factors.same_app(user.id, sealed, actor=actor)
    else:
        setup = factors.begin_app(user.id, actor=actor)
    form.sealed.data = setup.sealed
    replaced = factors.list_factors(user.id, actor=actor).app
    shown = {"form": form, "setup": setup, "picture": qr_data_uri(setup.uri), "replaced": replaced}
    return render_template("account/factor_app.html", **shown), form.status


@blueprint.route("/passkeys", methods=["GET", "POST"])
def add_passkey() -> ResponseReturnValue:
    """Name a new passkey, and let the device make it."""
    user, actor, form = here(), current_actor(), PasskeyForm()
    passkeys = services().auth.passkeys
    passkeys.check_may_add(user.id, actor=actor)
    if request.method == "POST" and form.submit(
        lambda: passkeys.register(
            user.id, form.text("name"), form.text("credential"), actor=actor, session_token=user.session_token
        )
    ):
        if form.result:
            return render_template("account/recovery_codes.html", codes=form.result, first=True, then=after_setup())
        success(_("The passkey is set up."))
        return go_to(url_for("account.security"))
    return render_template("account/passkey.html", form=form), form.status


@blueprint.post("/passkeys.json")
def passkey_options() -> ResponseReturnValue:
    """What a new passkey is asked."""
    user, passkeys = here(), services().auth.passkeys
    text = passkeys.begin_registration(user.id, user.session_token, actor=current_actor())
    return Response(text, mimetype="application/json")


@blueprint.route("/factors/<factor_id>/remove", methods=["GET", "POST"])
def remove_factor(factor_id: str) -> ResponseReturnValue:
    """Take a factor away."""
    if request.method == "GET":
        ways = services().auth.factors.list_factors(here().id, actor=current_actor())
        name = one_of(ways.factors, factor_id).name
        text = _(
            "It lets you in no more, and every other session ends. Without another factor your password alone does."
        )
        return ask(
            Question(_("Remove %(name)s?", name=name), text, _("Remove"), url_for("account.security"), "account")
        )
    user = here()
    services().auth.factors.remove(user.id, factor_id, actor=current_actor(), session_token=user.session_token)
    success(_("The second factor is removed. Every other session has been ended."))
    return go_to(url_for("account.security"))


@blueprint.route("/factors/codes", methods=["GET", "POST"])
def new_codes() -> ResponseReturnValue:
    """New recovery codes, shown this once."""
    if request.method == "GET":
        text = _("The codes that you have kept work no more. The new ones are shown this once.")
        return ask(
            Question(_("Make new recovery codes?"), text, _("Make new ones"), url_for("account.security"), "account")
        )
    codes = services().auth.factors.new_codes(here().id, actor=current_actor())
    return render_template("account/recovery_codes.html", codes=codes, first=False, then="")
