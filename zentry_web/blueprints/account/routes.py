"""One's own account: profile, password, theme."""

from typing import Any, cast

from flask import Blueprint, Response, current_app, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from zentry_web.blueprints.account.forms import FirstPasswordForm, PasswordForm, ProfileForm
from zentry_web.domain.language import _, languages
from zentry_web.domain.user import THEME_CHOICES, User
from zentry_web.web.input.paging import last_key, pages, rows_asked, text_argument
from zentry_web.web.output.context import THEMES, chosen_theme
from zentry_web.web.output.flash import success
from zentry_web.web.output.htmx import go_to, is_htmx
from zentry_web.web.services import services
from zentry_web.web.session.actor import current_actor, me, public, session_token, signed_in_user
from zentry_web.web.session.proof import page_of_request
from zentry_web.web.session.safe_next import safe_next

blueprint = Blueprint("account", __name__, url_prefix="/account")

YEAR_SECONDS = 365 * 86400


def _page(profile: ProfileForm, password: FirstPasswordForm | None = None) -> ResponseReturnValue:
    password = password or _password_form(formdata=None)
    mails = services().auth.email_change.enabled
    context = {"user": me(), "profile": profile, "password": password, "mails": mails}
    return render_template("account/profile.html", **context), max(profile.status, password.status)


def _profile_of(user: User) -> dict[str, str]:
    theme = user.theme or chosen_theme() or "auto"
    shortcuts = "on" if user.shortcuts else "off"
    return {
        "name": user.name, "time_zone": user.time_zone, "region": user.region,
        "language": user.language, "theme": theme, "shortcuts": shortcuts,
    }  # fmt: skip


def _password_form(**options: Any) -> FirstPasswordForm:
    """With the present password, if there is one."""
    ways = services().auth.oidc.ways_in(me().id, actor=current_actor())
    return PasswordForm(**options) if ways.password else FirstPasswordForm(**options)


@blueprint.route("", methods=["GET", "POST"])
def profile() -> ResponseReturnValue:
    """Name, time zone, language, region, theme, keyboard shortcuts."""
    user = me()
    form = ProfileForm(data=_profile_of(user))
    if request.method == "POST":
        names = ("name", "time_zone", "language", "region", "theme")
        data: dict[str, object] = {name: form[name].data for name in names}
        data["shortcuts"] = form.shortcuts.data == "on"
        if data["theme"] == _profile_of(user)["theme"]:
            del data["theme"]  # what this browser happens to have is no choice
        if form.submit(lambda: services().auth.update_profile(user.id, data, actor=current_actor())):
            success(_("Your profile is saved."))
            return go_to(url_for("account.profile"))
    return _page(form)


@blueprint.post("/password")
def change_password() -> ResponseReturnValue:
    """A new password; all other sessions end."""
    user, form, actor = me(), _password_form(), current_actor()
    auth = services().auth
    present = form.text("current") if "current" in form else ""
    passwords, here = (present, form.text("new")), session_token()
    if form.submit(lambda: auth.change_password(user.id, *passwords, actor=actor, session_token=here)):
        success(_("Your password is changed. Every other session has been ended."))
        return go_to(url_for("account.profile"))
    return _page(ProfileForm(formdata=None, data=_profile_of(user)), form)


@blueprint.post("/theme")
@public
def set_theme() -> ResponseReturnValue:
    """Light, dark, or as the browser prefers: kept in this browser's cookie, and in the account of who is signed in."""
    theme, user = request.form.get("theme", ""), signed_in_user()
    if user is not None and theme in THEME_CHOICES:
        services().auth.update_profile(user.id, {"theme": theme}, actor=current_actor())
    return _kept_in_browser("THEME_COOKIE_NAME", theme if theme in THEMES else None)


@blueprint.post("/language")
@public
def set_language() -> ResponseReturnValue:
    """The language of pages for visitors, kept in this browser's cookie; and of the account of who is signed in."""
    chosen, user = request.form.get("language", ""), signed_in_user()
    if user is not None and chosen in languages():
        services().auth.update_profile(user.id, {"language": chosen}, actor=current_actor())
    return _kept_in_browser("LANGUAGE_COOKIE_NAME", chosen if chosen in languages() else None)


def _kept_in_browser(cookie: str, value: str | None) -> Response:
    """Back to where the person was, with a cookie of this setting's name; None: without it."""
    back = safe_next((request.referrer or "").removeprefix(request.host_url.rstrip("/")), url_for("public.landing"))
    response = cast(Response, Response(status=204) if is_htmx() else redirect(back, 303))
    name, secure = current_app.config[cookie], current_app.config["SESSION_COOKIE_SECURE"]
    if value is not None:
        response.set_cookie(name, value, max_age=YEAR_SECONDS, secure=secure, httponly=True, samesite="Lax")
    else:
        response.delete_cookie(name, secure=secure, httponly=True, samesite="Lax")
    return response


@blueprint.get("/notices")
def notices() -> ResponseReturnValue:
    """What Zentry told this person, newest first; for htmx the newest of it."""
    user, before = me(), text_argument("before") or None
    found = services().billing.notices.list_notices(user.id, actor=current_actor(), before=before, limit=rows_asked())
    return render_template("account/notices.html", notices=found, **pages(last_key(found, "id")))


@blueprint.post("/notices/read")
def read_notices() -> ResponseReturnValue:
    """All of them have been seen."""
    user = me()
    services().billing.notices.mark_read(user.id, actor=current_actor())
    if is_htmx():
        return notices()
    return redirect(url_for("account.notices"), 303)


@blueprint.post("/announcements/<announcement_id>/dismiss")
def dismiss(announcement_id: str) -> ResponseReturnValue:
    """Put an announcement away; the page the person is on is shown without it."""
    services().users.announcements.dismiss(announcement_id, actor=current_actor())
    return "" if is_htmx() else redirect(page_of_request("dashboard.overview"), 303)
