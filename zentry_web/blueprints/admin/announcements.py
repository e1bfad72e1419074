"""For admins: what everybody is told in a banner."""

import secrets
from typing import Any
from zoneinfo import ZoneInfo

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from zentry_web.blueprints.admin.forms import AnnouncementForm
from zentry_web.blueprints.admin.routes import blueprint
from zentry_web.domain.announcement import Announcement, AnnouncementDraft
from zentry_web.services.announcements import Announcements
from zentry_web.web.actor import current_actor, me
from zentry_web.web.flash import success
from zentry_web.web.forms import number_of
from zentry_web.web.htmx import go_to
from zentry_web.web.paging import PAGE_SIZE, last_key, pages, text_argument
from zentry_web.web.services import services


@blueprint.get("/announcements")
def announcements() -> ResponseReturnValue:
    """All of them, newest first."""
    found = _service().list_all(actor=current_actor(), before=text_argument("before") or None, limit=PAGE_SIZE)
    shown = {"found": found, "now": services().clock.now()}
    return render_template("admin/announcements.html", **shown, **pages(last_key(found, "id")))


@blueprint.route("/announcements/new", methods=["GET", "POST"])
def new_announcement() -> ResponseReturnValue:
    """Announce something, after a preview if one likes."""
    now = services().clock.now().astimezone(ZoneInfo(me().time_zone)).replace(second=0, microsecond=0, tzinfo=None)
    form = AnnouncementForm(data={"starts": now, "idempotency_key": secrets.token_hex(16)})
    key, actor = form.idempotency_key.data or None, current_actor()
    return _answer(form, None, lambda: _service().create(_draft(form), actor=actor, idempotency_key=key))


@blueprint.route("/announcements/<announcement_id>", methods=["GET", "POST"])
def announcement(announcement_id: str) -> ResponseReturnValue:
    """Change one that is planned or shown."""
    actor = current_actor()
    found = _service().get_announcement(announcement_id, actor=actor)
    form = AnnouncementForm(data=_typed(found))
    version = number_of(form.text("version"))
    return _answer(form, found, lambda: _service().change(found.id, _draft(form), version, actor=actor))


@blueprint.post("/announcements/<announcement_id>/end")
def end_announcement(announcement_id: str) -> ResponseReturnValue:
    """Take it off every page now."""
    _service().end(announcement_id, actor=current_actor())
    success("The announcement is taken off every page.")
    return redirect(url_for("admin.announcements"), 303)


def _answer(form: AnnouncementForm, found: Announcement | None, save: Any) -> ResponseReturnValue:
    previews = bool(form.preview.data)
    if request.method == "POST":
        done = form.submit((lambda: _service().check(_draft(form), actor=current_actor())) if previews else save)
        if done and not previews:
            success("The announcement is saved.")
            return go_to(url_for("admin.announcements"))
    preview = form.result if previews else None
    return render_template("admin/announcement.html", form=form, found=found, preview=preview), form.status


def _service() -> Announcements:
    return services().get_user_service().announcements


def _typed(found: Announcement) -> dict[str, Any]:
    zone = ZoneInfo(me().time_zone)
    return {
        "level": found.level.value,
        "words": found.text,
        "link": found.link,
        "link_text": found.link_text,
        "starts": found.from_at.astimezone(zone).replace(tzinfo=None),
        "ends": found.until_at.astimezone(zone).replace(tzinfo=None) if found.until_at else None,
        "is_public": found.is_public,
        "version": str(found.version),
    }


def _draft(form: AnnouncementForm) -> AnnouncementDraft:
    zone = ZoneInfo(me().time_zone)
    starts, ends = form.starts.data, form.ends.data
    assert starts is not None  # the form's own check comes first
    return AnnouncementDraft(
        level=form.text("level"),
        text=form.text("words"),
        from_at=starts.replace(tzinfo=zone),
        until_at=ends.replace(tzinfo=zone) if ends else None,
        link=form.text("link"),
        link_text=form.text("link_text"),
        is_public=bool(form.is_public.data),
    )
