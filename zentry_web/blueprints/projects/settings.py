"""A project's settings: name, description, colour, labels, archive."""

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from zentry_web.blueprints.projects.forms import SettingsForm
from zentry_web.blueprints.projects.routes import blueprint
from zentry_web.domain.label import written
from zentry_web.domain.project import ProjectAction, ProjectColour
from zentry_web.web.actor import current_actor
from zentry_web.web.flash import success
from zentry_web.web.htmx import go_to, is_htmx
from zentry_web.web.services import services


@blueprint.route("/<project_id>/settings", methods=["GET", "POST"])
def settings(project_id: str) -> ResponseReturnValue:
    """Name, description, colour and labels, and the way into the archive."""
    actor, projects = current_actor(), services().get_project_service()
    project = projects.get_project(project_id, actor=actor, action=ProjectAction.RENAME)
    now = {"name": project.name, "description": project.description, "colour": project.colour or ""}
    form = SettingsForm(data=now | {"labels": written(project.labels)})
    if request.method == "POST" and form.submit(lambda: projects.settings.update(project_id, form.values, actor=actor)):
        success("The settings are saved.")
        return go_to(url_for("projects.show", project_id=project_id))
    template = "projects/_settings_form.html" if is_htmx() else "projects/settings.html"
    return render_template(template, form=form, project=project, colours=list(ProjectColour)), form.status


@blueprint.post("/<project_id>/archive")
def archive(project_id: str) -> ResponseReturnValue:
    """Put a project away."""
    services().get_project_service().settings.archive(project_id, actor=current_actor())
    success("The project is archived.")
    return redirect(url_for("projects.show", project_id=project_id), 303)


@blueprint.post("/<project_id>/unarchive")
def unarchive(project_id: str) -> ResponseReturnValue:
    """Take it out of the archive."""
    services().get_project_service().settings.unarchive(project_id, actor=current_actor())
    success("The project is in use again.")
    return redirect(url_for("projects.show", project_id=project_id), 303)
