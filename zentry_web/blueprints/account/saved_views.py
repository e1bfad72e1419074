"""Lists that a person keeps by a name."""

from urllib.parse import parse_qsl

from flask import render_template, request, url_for
from flask.typing import ResponseReturnValue
from wtforms import BooleanField, StringField
from wtforms.validators import InputRequired, Length

from zentry_web.blueprints.account.routes import blueprint
from zentry_web.domain.language import _, lazy
from zentry_web.domain.people.saved_view import LONGEST_NAME, LONGEST_QUERY, ListKind
from zentry_web.services.errors import NotFoundError
from zentry_web.web.input.forms import BaseForm
from zentry_web.web.input.saved_views import PLACES, address_of, kept_of
from zentry_web.web.output.flash import success
from zentry_web.web.output.htmx import go_to
from zentry_web.web.services import services
from zentry_web.web.session.actor import current_actor, me


class SavedViewForm(BaseForm):
    name = StringField(
        lazy("Name"), validators=[InputRequired(lazy("Give the view a name.")), Length(max=LONGEST_NAME)]
    )
    is_default = BooleanField(lazy("Open the list with this view"))


@blueprint.route("/views/new", methods=["GET", "POST"])
def save_view() -> ResponseReturnValue:
    """Keep what a list shows."""
    kind, form = _kind(), SavedViewForm()
    query = kept_of(kind, dict(parse_qsl(request.values.get("query", "")[: 3 * LONGEST_QUERY])))
    views, user, actor = services().users.saved_views, me(), current_actor()
    if request.method == "POST" and form.submit(
        lambda: views.save(user.id, kind, form.text("name"), query, is_default=bool(form.is_default.data), actor=actor)
    ):
        success(_("The view “%(name)s” is saved.", name=form.result.name))
        return go_to(address_of(form.result))
    return render_template("account/saved_view.html", form=form, view=None, kind=kind, query=query), form.status


@blueprint.route("/views/<view_id>", methods=["GET", "POST"])
def saved_view(view_id: str) -> ResponseReturnValue:
    """One view: its name, whether the list opens with it; or delete it."""
    views, user, actor = services().users.saved_views, me(), current_actor()
    view = views.get_view(user.id, view_id, actor=actor)
    form = SavedViewForm(data={"name": view.name, "is_default": view.is_default})
    if request.method == "POST" and request.form.get("do") == "delete":
        views.delete(user.id, view_id, actor=actor)
        success(_("The view “%(name)s” is deleted.", name=view.name))
        return go_to(url_for(PLACES[view.kind], view="all"))
    if request.method == "POST" and form.submit(
        lambda: views.change(user.id, view_id, form.text("name"), is_default=bool(form.is_default.data), actor=actor)
    ):
        success(_("The view “%(name)s” is changed.", name=form.result.name))
        return go_to(address_of(form.result))
    return render_template(
        "account/saved_view.html", form=form, view=view, kind=view.kind, query=view.query
    ), form.status


def _kind() -> ListKind:
    found = request.values.get("kind", "")
    if found not in list(ListKind):
        raise NotFoundError(_("There is no such list."))
    return ListKind(found)
