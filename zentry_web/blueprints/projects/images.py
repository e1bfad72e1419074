"""Images that were made of a project's machines."""

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from zentry_web.blueprints.projects.routes import blueprint
from zentry_web.domain.language import _, ngettext
from zentry_web.web.input.questions import Question, ask
from zentry_web.web.output.flash import success
from zentry_web.web.output.regions import credits_text
from zentry_web.web.services import services
from zentry_web.web.session.actor import current_actor


@blueprint.get("/<project_id>/images")
def images(project_id: str) -> ResponseReturnValue:
    """What its machines can be made from beside everybody's images."""
    actor = current_actor()
    found = services().vms.machine_images.list(project_id, actor=actor)
    return render_template(
        "projects/images.html",
        project=services().projects.get_project(project_id, actor=actor),
        images=found,
        rate=sum(each.rate_micro_per_hour or 0 for each in found if each.kept_until is None),
    )


@blueprint.route("/<project_id>/images/<made_id>/delete", methods=["GET", "POST"])
def delete_image(project_id: str, made_id: str) -> ResponseReturnValue:
    """Delete one, after a question."""
    made, actor = services().vms.machine_images, current_actor()
    back = url_for("projects.images", project_id=project_id)
    if request.method == "POST":
        made.delete(project_id, made_id, actor=actor)
        success(_("The image is deleted."))
        return redirect(back, 303)
    image = made.get(project_id, made_id, actor=actor)
    text = _(
        "Nobody can launch from it any more, and it no longer costs %(credits)s credits per hour.",
        credits=credits_text(image.rate_micro_per_hour or 0),
    )
    if image.machines:
        stays = ngettext(
            "%(num)s machine was made from it and stays as it is.",
            "%(num)s machines were made from it and stay as they are.",
            image.machines,
        )
        text = f"{text} {stays}"
    title = _("Delete the image “%(name)s”?", name=image.name)
    return ask(Question(title, text, _("Delete"), back, "projects", icon="trash"))
