"""Handing a project over: the offer, the answer to it."""

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from zentry_web.blueprints.projects.routes import blueprint
from zentry_web.domain.project import ProjectAction
from zentry_web.web.actor import current_actor
from zentry_web.web.flash import success
from zentry_web.web.services import services


@blueprint.get("/<project_id>/ownership")
def ownership(project_id: str) -> ResponseReturnValue:
    """For the owner: to whom to offer the project. For the one it is offered to: what it costs, yes or no."""
    actor, projects = current_actor(), services().get_project_service()
    project = projects.get_project(project_id, actor=actor)
    offer = projects.ownership.find_offer(project_id, actor=actor)
    owns = project.allows(ProjectAction.OWN)
    if offer is None:
        projects.get_project(project_id, actor=actor, action=ProjectAction.OWN)
    members = projects.members.list_members(project_id, actor=actor) if owns else []
    return render_template(
        "projects/ownership.html", project=project, offer=offer, owns=owns,
        others=[member for member in members if member.user_id != project.owner_id],
    )  # fmt: skip


@blueprint.post("/<project_id>/ownership/offer")
def offer_ownership(project_id: str) -> ResponseReturnValue:
    """Offer the project to a member."""
    user_id = request.form.get("user_id", "").replace("\x00", "")[:40]
    services().get_project_service().ownership.offer(project_id, user_id, actor=current_actor())
    success("The project is offered. It stays yours until they accept.")
    return redirect(url_for("projects.ownership", project_id=project_id), 303)


@blueprint.post("/<project_id>/ownership/withdraw")
def withdraw_ownership(project_id: str) -> ResponseReturnValue:
    """Take the offer back."""
    services().get_project_service().ownership.withdraw(project_id, actor=current_actor())
    success("The offer is withdrawn.")
    return redirect(url_for("projects.ownership", project_id=project_id), 303)


@blueprint.post("/<project_id>/ownership/accept")
def accept_ownership(project_id: str) -> ResponseReturnValue:
    """Take the project over with all its machines."""
    services().get_project_service().ownership.accept(project_id, actor=current_actor())
    success("The project is yours.")
    return redirect(url_for("projects.show", project_id=project_id), 303)


@blueprint.post("/<project_id>/ownership/decline")
def decline_ownership(project_id: str) -> ResponseReturnValue:
    """Say no to the offer."""
    services().get_project_service().ownership.decline(project_id, actor=current_actor())
    success("The offer is declined.")
    return redirect(url_for("projects.show", project_id=project_id), 303)
