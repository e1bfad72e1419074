"""For admins: what everybody is told in a banner."""

import secrets
from typing import Any

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from zentry_web.blueprints.admin.forms import AnnouncementForm
from zentry_web.blueprints.admin.routes import blueprint
from zentry_web.domain.language import _
from zentry_web.domain.people.announcement import Announcement, AnnouncementDraft
from zentry_web.domain.zones import zone_of
from zentry_web.web.input.forms import number_of
from zentry_web.web.input.paging import last_key, pages, rows_asked, text_argument
from zentry_web.web.input.questions import Question, ask
from zentry_web.web.output.flash import success
from zentry_web.web.output.htmx import go_to
from zentry_web.web.services import services
from zentry_web.web.session.actor import current_actor, me


@blueprint.get("/announcements")
def announcements() -> ResponseReturnValue:
    """All of them, newest first."""
    found = services().users.announcements.list_all(
        actor=current_actor(), before=text_argument("before") or None, limit=rows_asked()
    )
    shown = {"found": found, "now": services().clock.now()}
    return render_template("admin/announcements.html", **shown, **pages(last_key(found, "id")))


@blueprint.route("/announcements/new", methods=["GET", "POST"])
def new_announcement() -> ResponseReturnValue:
    """Announce something, after a preview if one likes."""
    now = services().clock.now().astimezone(zone_of(me().time_zone)).replace(second=0, microsecond=0, tzinfo=None)
    form = AnnouncementForm(data={"starts": now, "idempotency_key": secrets.token_hex(16)})
    key, actor = form.idempotency_key.data or None, current_actor()
    return _answer(
        form, None, lambda: services().users.announcements.create(_draft(form), actor=actor, idempotency_key=key)
    )


@blueprint.route("/announcements/<announcement_id>", methods=["GET", "POST"])
def announcement(announcement_id: str) -> ResponseReturnValue:
    """Change one that is planned or shown."""
    actor = current_actor()
    found = services().users.announcements.get_announcement(announcement_id, actor=actor)
    form = AnnouncementForm(data=_typed(found))
    version = number_of(form.text("version"))
    return _answer(
        form, found, lambda: services().users.announcements.change(found.id, _draft(form), version, actor=actor)
    )


@blueprint.route("/announcements/<announcement_id>/end", methods=["GET", "POST"])
def end_announcement(announcement_id: str) -> ResponseReturnValue:
    """Take it off every page now."""
    if request.method == "GET":
        found = services().users.announcements.get_announcement(announcement_id, actor=current_actor())
        text = _("It is taken off every page now and cannot be shown again: “%(text)s”", text=found.text)
        back = url_for("admin.announcements")
        return ask(Question(_("End the announcement?"), text, _("End it"), back, "admin.announcements"))
    services().users.announcements.end(announcement_id, actor=current_actor())
    success(_("The announcement is taken off every page."))
    return redirect(url_for("admin.announcements"), 303)


def _answer(form: AnnouncementForm, found: Announcement | None, save: Any) -> ResponseReturnValue:
    previews = bool(form.preview.data)
    if request.method == "POST":
        done = form.submit(
            (lambda: services().users.announcements.check(_draft(form), actor=current_actor())) if previews else save
        )
        if done and not previews:
            success(_("The announcement is saved."))
            return go_to(url_for("admin.announcements"))
    preview = form.result if previews else None
    return render_template("admin/announcement.html", form=form, found=found, preview=preview), form.status


def _typed(found: Announcement) -> dict[str, Any]:
    zone = zone_of(me().time_zone)
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
    zone = zone_of(me().time_zone)
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
