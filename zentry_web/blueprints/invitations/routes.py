"""The link of an invitation: what it is to, and yes or no. Its address is a secret."""

from flask import Blueprint, Response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from zentry_web.domain.team import ROLE_WORDS
from zentry_web.services.errors import NotFoundError
from zentry_web.web.actor import current_actor, public, signed_in_user
from zentry_web.web.come_back import come_back_to
from zentry_web.web.flash import success
from zentry_web.web.headers import secret_page
from zentry_web.web.services import services

blueprint = Blueprint("invitations", __name__, url_prefix="/invitations")


@blueprint.get("/<token>")
@public
def show(token: str) -> Response:
    """Project, role and inviter. A visitor logs in or signs up, and comes back."""
    found = services().get_project_service().invitations.peek(token)
    if found is None:
        raise NotFoundError("This invitation has been used, withdrawn, or is too old. Ask for a new one.")
    if signed_in_user() is None:
        come_back_to(request.path)
    page = render_template("invitations/show.html", invitation=found, token=token, words=ROLE_WORDS[found.role])
    return secret_page(page)


@blueprint.post("/<token>/accept")
def accept(token: str) -> ResponseReturnValue:
    """Join the project as the account that is signed in."""
    project_id = services().get_project_service().invitations.accept(token, actor=current_actor())
    success("You belong to the project now.")
    return redirect(url_for("projects.show", project_id=project_id), 303)


@blueprint.post("/<token>/decline")
def decline(token: str) -> ResponseReturnValue:
    """Say no."""
    services().get_project_service().invitations.decline(token, actor=current_actor())
    success("The invitation is declined.")
    return redirect(url_for("dashboard.overview"), 303)
