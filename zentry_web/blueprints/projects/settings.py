"""A project's settings: name, description, colour, labels, archive."""

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from zentry_web.blueprints.projects.forms import SettingsForm
from zentry_web.blueprints.projects.routes import blueprint
from zentry_web.domain.label import written
from zentry_web.domain.language import _
from zentry_web.domain.projects.project import ProjectAction, ProjectColour
from zentry_web.web.output.flash import success
from zentry_web.web.output.htmx import go_to
from zentry_web.web.services import services
from zentry_web.web.session.actor import current_actor


@blueprint.route("/<project_id>/settings", methods=["GET", "POST"])
def settings(project_id: str) -> ResponseReturnValue:
    """Name, description, colour and labels, and the way into the archive."""
    actor, projects = current_actor(), services().projects
    project = projects.get_project(project_id, actor=actor, action=ProjectAction.RENAME)
    now = {"name": project.name, "description": project.description, "colour": project.colour or ""}
    form = SettingsForm(data=now | {"labels": written(project.labels)})
    if request.method == "POST" and form.submit(lambda: projects.settings.update(project_id, form.values, actor=actor)):
        success(_("The settings are saved."))
        return go_to(url_for("projects.show", project_id=project_id))
    return render_template(
        "projects/settings.html", form=form, project=project, colours=list(ProjectColour)
    ), form.status


@blueprint.post("/<project_id>/archive")
def archive(project_id: str) -> ResponseReturnValue:
    """Put a project away."""
    services().projects.settings.archive(project_id, actor=current_actor())
    success(_("The project is archived."))
    return redirect(url_for("projects.show", project_id=project_id), 303)


@blueprint.post("/<project_id>/unarchive")
def unarchive(project_id: str) -> ResponseReturnValue:
    """Take it out of the archive."""
    services().projects.settings.unarchive(project_id, actor=current_actor())
    success(_("The project is in use again."))
    return redirect(url_for("projects.show", project_id=project_id), 303)
