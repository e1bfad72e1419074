"""For admins: the quota of an account or of a project."""

from flask import render_template, request, url_for
from flask.typing import ResponseReturnValue

from zentry_web.blueprints.admin.forms import QuotaForm
from zentry_web.blueprints.admin.routes import blueprint
from zentry_web.domain.language import _
from zentry_web.domain.projects.quota import Resource, Scope, as_typed
from zentry_web.web.output.flash import success
from zentry_web.web.output.htmx import go_to
from zentry_web.web.services import services
from zentry_web.web.session.actor import current_actor


@blueprint.route("/quotas/<holder_id>", methods=["GET", "POST"])
def quotas(holder_id: str) -> ResponseReturnValue:
    """Set what an account or a project may take up."""
    kept, actor = services().vms.quotas, current_actor()
    holder = kept.get_holder(holder_id, actor=actor)
    form = QuotaForm(data={each.value: as_typed(each, holder.overrides) for each in Resource})
    if holder.scope == Scope.PROJECT:
        back = url_for("projects.show", project_id=holder_id)
    else:
        back = url_for("admin.user", user_id=holder_id)
    if request.method == "POST" and form.submit(lambda: kept.set_limits(holder_id, form.limits, actor=actor)):
        success(_("The quota of %(name)s is set.", name=holder.name))
        return go_to(back)
    return render_template("admin/quotas.html", holder=holder, form=form, back=back), form.status
