"""Second factors, where one is signed in, and who tried."""

from flask import redirect, render_template, url_for
from flask.typing import ResponseReturnValue

from zentry_web.blueprints.account.routes import blueprint
from zentry_web.web.activity import activity_lines
from zentry_web.web.actor import current_actor, me, session_token
from zentry_web.web.flash import success
from zentry_web.web.paging import number_argument, pages
from zentry_web.web.services import services

SIGN_INS = 30


@blueprint.get("/security")
def security() -> ResponseReturnValue:
    """Factors, open sessions, and the log-ins, newest first; ``?before=`` goes on to older ones."""
    user, actor = me(), current_actor()
    auth = services().get_auth_service()
    people, before = services().get_user_service(), number_argument("before")
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
        lines=activity_lines(shown, viewer_id=user.id, with_address=True),
        **addresses,
    )


@blueprint.post("/sessions/<session_id>/end")
def end_session(session_id: str) -> ResponseReturnValue:
    """Sign one browser out."""
    services().get_auth_service().end_session(me().id, session_id, actor=current_actor())
    success("That session is ended.")
    return redirect(url_for("account.security"), 303)


@blueprint.post("/sessions/end-others")
def end_other_sessions() -> ResponseReturnValue:
    """Sign every other browser out."""
    ended = services().get_auth_service().end_sessions(me().id, actor=current_actor(), keep=session_token())
    success("There were no others." if not ended else f"Ended {ended} other session{'' if ended == 1 else 's'}.")
    return redirect(url_for("account.security"), 303)
