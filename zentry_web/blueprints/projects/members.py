"""Members of a project: the list, roles, removal, leaving, invitations."""

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from zentry_web.blueprints.projects.forms import InviteForm
from zentry_web.blueprints.projects.routes import blueprint
from zentry_web.domain.language import _
from zentry_web.domain.projects.project import ProjectAction, assignable
from zentry_web.domain.projects.team import ROLE_NAMES, ROLE_WORDS, parse_role
from zentry_web.services.errors import ConflictError, ValidationError
from zentry_web.web.input.questions import Question, ask, one_of
from zentry_web.web.output.flash import success
from zentry_web.web.output.htmx import go_to
from zentry_web.web.services import services
from zentry_web.web.session.actor import current_actor, me


@blueprint.get("/<project_id>/members")
def members(project_id: str) -> ResponseReturnValue:
    """Who belongs to it, as what; for those who manage members also who is invited."""
    return _page(project_id)


def _page(project_id: str) -> str:
    actor, projects = current_actor(), services().projects
    project = projects.get_project(project_id, actor=actor)
    manages = project.allows(ProjectAction.MEMBERS)
    return render_template(
        "projects/members.html",
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
    actor, projects = current_actor(), services().projects
    project = projects.get_project(project_id, actor=actor, action=ProjectAction.MEMBERS)
    form = InviteForm()
    form.offer(assignable(project.role), ROLE_WORDS)
    data = {"email": form.email.data, "role": form.role.data}
    if request.method == "POST" and form.submit(lambda: projects.invitations.invite(project_id, data, actor=actor)):
        if form.result.secret:
            link = url_for("invitations.show", token=form.result.secret, _external=True)
            return render_template("projects/invited.html", project=project, invitation=form.result, link=link)
        again = url_for("projects.invite", project_id=project_id)
        success(_("The invitation is on its way."), _("Invite another"), again, asks=True)
        return go_to(url_for("projects.members", project_id=project_id))
    return render_template("projects/invite.html", project=project, form=form), form.status


@blueprint.route("/<project_id>/invitations/<invitation_id>/revoke", methods=["GET", "POST"])
def revoke_invitation(project_id: str, invitation_id: str) -> ResponseReturnValue:
    """Revoke an invitation."""
    if request.method == "GET":
        service, actor = services().projects, current_actor()
        service.get_project(project_id, actor=actor, action=ProjectAction.MEMBERS)
        email = one_of(service.invitations.list_open(project_id, actor=actor), invitation_id).email
        text = _("The link that %(email)s got works no more. You can invite them again.", email=email)
        return ask(Question(_("Revoke the invitation?"), text, _("Revoke"), _url(project_id), "projects"))
    services().projects.invitations.revoke(project_id, invitation_id, actor=current_actor())
    return _done(project_id, _("The invitation is revoked."))


@blueprint.post("/<project_id>/members/<user_id>/role")
def change_role(project_id: str, user_id: str) -> ResponseReturnValue:
    """Give a member another role."""
    projects, actor = services().projects, current_actor()
    projects.get_project(project_id, actor=actor, action=ProjectAction.MEMBERS)
    try:
        role = parse_role(request.form.get("role"))
    except ValueError as error:
        raise ValidationError(str(error), details={"role": str(error)}) from None
    projects.members.change_role(project_id, user_id, role, actor=actor)
    return _done(project_id, _("The role is now “%(role)s”.", role=ROLE_NAMES[role]))


@blueprint.route("/<project_id>/members/<user_id>/remove", methods=["GET", "POST"])
def remove_member(project_id: str, user_id: str) -> ResponseReturnValue:
    """Put a member out."""
    if request.method == "GET":
        service, actor = services().projects, current_actor()
        project = service.get_project(project_id, actor=actor, action=ProjectAction.MEMBERS)
        members = [each for each in service.members.list_members(project_id, actor=actor) if each.is_manageable]
        name = one_of(members, user_id, "user_id").name
        text = _(
            "They see %(name)s and its machines no more, at once. What they made stays. Invite them to undo it.",
            name=project.name,
        )
        return ask(
            Question(
                _("Remove %(name)s?", name=name), text, _("Remove"), _url(project_id), "projects", icon="user-minus"
            )
        )
    services().projects.members.remove(project_id, user_id, actor=current_actor())
    return _done(project_id, _("The member is removed."))


@blueprint.route("/<project_id>/leave", methods=["GET", "POST"])
def leave(project_id: str) -> ResponseReturnValue:
    """Leave a project of somebody else."""
    if request.method == "GET":
        service, actor = services().projects, current_actor()
        project = service.get_project(project_id, actor=actor)
        one_of(service.members.list_members(project_id, actor=actor), me().id, "user_id")
        if project.owner_id == me().id:
            raise ConflictError(_("You own this project: it cannot be without you."))
        text = _("You see it and its machines no more, at once. Only somebody who manages it can invite you again.")
        return ask(
            Question(
                _("Leave %(name)s?", name=project.name), text, _("Leave"), _url(project_id), "projects", icon="logout"
            )
        )
    services().projects.members.leave(project_id, actor=current_actor())
    success(_("You have left the project."))
    return go_to(url_for("projects.index"))


def _url(project_id: str) -> str:
    return url_for("projects.members", project_id=project_id)


def _done(project_id: str, words: str) -> ResponseReturnValue:
    success(words)
    return redirect(url_for("projects.members", project_id=project_id), 303)
