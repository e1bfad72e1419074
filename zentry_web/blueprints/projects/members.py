"""Members of a project: the list, roles, removal, leaving, invitations."""

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from zentry_web.blueprints.projects.forms import InviteForm
from zentry_web.blueprints.projects.routes import blueprint
from zentry_web.domain.project import ProjectAction, assignable
from zentry_web.domain.team import ROLE_WORDS, parse_role
from zentry_web.services.errors import ValidationError
from zentry_web.web.actor import current_actor, me
from zentry_web.web.flash import success
from zentry_web.web.htmx import go_to, is_htmx
from zentry_web.web.services import services


@blueprint.get("/<project_id>/members")
def members(project_id: str) -> ResponseReturnValue:
    """Who belongs to it, as what; for those who manage members also who is invited."""
    return _page(project_id)


def _page(project_id: str) -> str:
    actor, projects = current_actor(), services().get_project_service()
    project = projects.get_project(project_id, actor=actor)
    manages = project.allows(ProjectAction.MEMBERS)
    return render_template(
        "projects/_members.html" if is_htmx() else "projects/members.html",
        project=project,
        members=projects.members.list_members(project_id, actor=actor),
        invitations=projects.invitations.list_open(project_id, actor=actor) if manages else [],
        roles=assignable(project.role),
        role_words=ROLE_WORDS,
        my_id=me().id,
    )


@blueprint.route("/<project_id>/members/invite", methods=["GET", "POST"])
def invite(project_id: str) -> ResponseReturnValue:
    """Invite an address. Where no mail is sent, the answer shows the link, once."""
    actor, projects = current_actor(), services().get_project_service()
    project = projects.get_project(project_id, actor=actor, action=ProjectAction.MEMBERS)
    form = InviteForm()
    form.offer(assignable(project.role), ROLE_WORDS)
    data = {"email": form.email.data, "role": form.role.data}
    if request.method == "POST" and form.submit(lambda: projects.invitations.invite(project_id, data, actor=actor)):
        if form.result.secret:
            link = url_for("invitations.show", token=form.result.secret, _external=True)
            return render_template(_named("invited"), project=project, invitation=form.result, link=link)
        success("The invitation is on its way.")
        return go_to(url_for("projects.members", project_id=project_id))
    return render_template(_named("invite"), project=project, form=form), form.status


@blueprint.post("/<project_id>/invitations/<invitation_id>/revoke")
def revoke_invitation(project_id: str, invitation_id: str) -> ResponseReturnValue:
    """Withdraw an invitation."""
    services().get_project_service().invitations.revoke(project_id, invitation_id, actor=current_actor())
    return _done(project_id, "The invitation is withdrawn.")


@blueprint.post("/<project_id>/members/<user_id>/role")
def change_role(project_id: str, user_id: str) -> ResponseReturnValue:
    """Give a member another role."""
    projects, actor = services().get_project_service(), current_actor()
    projects.get_project(project_id, actor=actor, action=ProjectAction.MEMBERS)
    try:
        role = parse_role(request.form.get("role"))
    except ValueError as error:
        raise ValidationError(str(error), details={"role": str(error)}) from None
    projects.members.change_role(project_id, user_id, role, actor=actor)
    return _done(project_id, f"The role is now “{role}”.")


@blueprint.post("/<project_id>/members/<user_id>/remove")
def remove_member(project_id: str, user_id: str) -> ResponseReturnValue:
    """Put a member out."""
    services().get_project_service().members.remove(project_id, user_id, actor=current_actor())
    return _done(project_id, "The member is removed.")


@blueprint.post("/<project_id>/leave")
def leave(project_id: str) -> ResponseReturnValue:
    """Leave a project of somebody else."""
    services().get_project_service().members.leave(project_id, actor=current_actor())
    success("You have left the project.")
    return go_to(url_for("projects.index"))


def _named(name: str) -> str:
    return f"projects/_{name}.html" if is_htmx() else f"projects/{name}.html"


def _done(project_id: str, words: str) -> ResponseReturnValue:
    success(words)
    return redirect(url_for("projects.members", project_id=project_id), 303)
