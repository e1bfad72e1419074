"""Handing a project over: the offer, the answer to it."""

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from zentry_web.blueprints.projects.routes import blueprint
from zentry_web.domain.language import _
from zentry_web.domain.projects.project import ProjectAction
from zentry_web.web.input.questions import Question, ask
from zentry_web.web.output.flash import success
from zentry_web.web.services import services
from zentry_web.web.session.actor import current_actor


@blueprint.get("/<project_id>/ownership")
def ownership(project_id: str) -> ResponseReturnValue:
    """For the owner: to whom to offer the project. For the one it is offered to: what it costs, yes or no."""
    actor, projects = current_actor(), services().projects
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
    user_id = request.form.get("user_id", "")[:40]
    services().projects.ownership.offer(project_id, user_id, actor=current_actor())
    success(_("The project is offered. It stays yours until they accept."))
    return redirect(url_for("projects.ownership", project_id=project_id), 303)


@blueprint.route("/<project_id>/ownership/withdraw", methods=["GET", "POST"])
def withdraw_ownership(project_id: str) -> ResponseReturnValue:
    """Take the offer back."""
    projects, back = services().projects, url_for("projects.ownership", project_id=project_id)
    if request.method == "GET":
        projects.get_project(project_id, actor=current_actor(), action=ProjectAction.OWN)
        offer = projects.ownership.find_offer(project_id, actor=current_actor())
        if offer is None:
            return redirect(back, 303)
        text = _("%(name)s can accept it no more. You can offer it again.", name=offer.user_name)
        return ask(Question(_("Withdraw the offer?"), text, _("Withdraw"), back, "projects"))
    projects.ownership.withdraw(project_id, actor=current_actor())
    success(_("The offer is withdrawn."))
    return redirect(back, 303)


@blueprint.post("/<project_id>/ownership/accept")
def accept_ownership(project_id: str) -> ResponseReturnValue:
    """Take the project over with all its machines."""
    services().projects.ownership.accept(project_id, actor=current_actor())
    success(_("The project is yours."))
    return redirect(url_for("projects.show", project_id=project_id), 303)


@blueprint.post("/<project_id>/ownership/decline")
def decline_ownership(project_id: str) -> ResponseReturnValue:
    """Say no to the offer."""
    services().projects.ownership.decline(project_id, actor=current_actor())
    success(_("The offer is declined."))
    return redirect(url_for("projects.show", project_id=project_id), 303)
