"""Second factors, where one is signed in, and who tried."""

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from zentry_web.blueprints.account.routes import blueprint
from zentry_web.domain.language import _, ngettext
from zentry_web.web.input.paging import number_argument, pages
from zentry_web.web.input.questions import Question, ask, one_of
from zentry_web.web.output.activity import activity_lines
from zentry_web.web.output.flash import success
from zentry_web.web.services import services
from zentry_web.web.session.actor import current_actor, me, session_token

SIGN_INS = 30


@blueprint.get("/security")
def security() -> ResponseReturnValue:
    """Factors, open sessions, and the log-ins, newest first; ``?before=`` goes on to older ones."""
    user, actor = me(), current_actor()
    auth = services().auth
    people, before = services().users, number_argument("before")
    events = people.list_sign_ins(user.id, actor=actor, before=before, limit=SIGN_INS + 1)
    shown, more = events[:SIGN_INS], events[SIGN_INS:]
    addresses = {name: url and f"{url}#sign-ins" for name, url in pages(shown[-1].seq if more else None).items()}
    return render_template(
        "account/security.html",
        factors=auth.factors.list_factors(user.id, actor=actor),
        passkeys=auth.passkeys.possible,
        ways=auth.oidc.ways_in(user.id, actor=actor),
        provider=auth.oidc.provider_name,
        sessions=auth.list_sessions(user.id, actor=actor, session_token=session_token()),
        lines=activity_lines(shown, reader_id=user.id, with_address=True),
        **addresses,
    )


@blueprint.route("/sessions/<session_id>/end", methods=["GET", "POST"])
def end_session(session_id: str) -> ResponseReturnValue:
    """Sign one browser out."""
    if request.method == "GET":
        found = one_of(services().auth.list_sessions(me().id, actor=current_actor()), session_id)
        text = _("%(device)s is signed out. Who knows your password can log in there again.", device=found.device)
        return ask(Question(_("End the session?"), text, _("End it"), url_for("account.security"), "account"))
    services().auth.end_session(me().id, session_id, actor=current_actor())
    success(_("That session is ended."))
    return redirect(url_for("account.security"), 303)


@blueprint.route("/sessions/end-others", methods=["GET", "POST"])
def end_other_sessions() -> ResponseReturnValue:
    """Sign every other browser out."""
    if request.method == "GET":
        text = _("Every browser but this one is signed out. Who knows your password can log in again.")
        return ask(Question(_("End all other sessions?"), text, _("End them"), url_for("account.security"), "account"))
    ended = services().auth.end_sessions(me().id, actor=current_actor(), keep=session_token())
    words = ngettext("Ended %(num)s other session.", "Ended %(num)s other sessions.", ended)
    success(words if ended else _("There were no others."))
    return redirect(url_for("account.security"), 303)
