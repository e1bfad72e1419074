"""An invitation: what it is to, and yes or no. By its link, the address of which is a secret, or by its number for the
account whose mailbox it was mailed to."""

from flask import Blueprint, Response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from zentry_web.domain.language import _
from zentry_web.domain.projects.team import ROLE_WORDS
from zentry_web.services.errors import NotFoundError
from zentry_web.web.output.flash import success
from zentry_web.web.output.headers import secret_page
from zentry_web.web.services import services
from zentry_web.web.session.actor import current_actor, public, signed_in_user
from zentry_web.web.session.come_back import come_back_to

blueprint = Blueprint("invitations", __name__, url_prefix="/invitations")


@blueprint.get("/<token>")
@public
def show(token: str) -> Response:
    """Project, role and inviter. A visitor logs in or signs up, and comes back."""
    found = services().projects.invitations.peek(token)
    if found is None:
        raise NotFoundError(_("This invitation has been used, withdrawn, or is too old. Ask for a new one."))
    if signed_in_user() is None:
        come_back_to(request.path)
    page = render_template(
        "invitations/show.html", invitation=found, token=token, words=ROLE_WORDS[found.role],
        accept_url=url_for("invitations.accept", token=token), decline_url=url_for("invitations.decline", token=token),
    )  # fmt: skip
    return secret_page(page)


@blueprint.post("/<token>/accept")
def accept(token: str) -> ResponseReturnValue:
    """Join the project as the account that is signed in."""
    return _joined(services().projects.invitations.accept(token, actor=current_actor()))


@blueprint.post("/<token>/decline")
def decline(token: str) -> ResponseReturnValue:
    """Say no."""
    services().projects.invitations.decline(token, actor=current_actor())
    return _declined()


@blueprint.get("/mailed/<invitation_id>")
def mailed(invitation_id: str) -> ResponseReturnValue:
    """One that was mailed to the address of who asks."""
    found = services().projects.invitations.get_mailed(invitation_id, actor=current_actor())
    return render_template(
        "invitations/show.html", invitation=found, token="", words=ROLE_WORDS[found.role],
        accept_url=url_for("invitations.accept_mailed", invitation_id=invitation_id),
        decline_url=url_for("invitations.decline_mailed", invitation_id=invitation_id),
    )  # fmt: skip


@blueprint.post("/mailed/<invitation_id>/accept")
def accept_mailed(invitation_id: str) -> ResponseReturnValue:
    """Join the project."""
    return _joined(services().projects.invitations.accept_mailed(invitation_id, actor=current_actor()))


@blueprint.post("/mailed/<invitation_id>/decline")
def decline_mailed(invitation_id: str) -> ResponseReturnValue:
    """Say no."""
    services().projects.invitations.decline_mailed(invitation_id, actor=current_actor())
    return _declined()


def _joined(project_id: str) -> ResponseReturnValue:
    success(_("You belong to the project now."))
    return redirect(url_for("projects.show", project_id=project_id), 303)


def _declined() -> ResponseReturnValue:
    success(_("The invitation is declined."))
    return redirect(url_for("dashboard.overview"), 303)
