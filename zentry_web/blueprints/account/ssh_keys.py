"""SSH public keys that can be ticked at a launch."""

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from zentry_web.blueprints.account.forms import SshKeyForm, SshKeyNameForm
from zentry_web.blueprints.account.routes import blueprint
from zentry_web.domain.language import _
from zentry_web.web.input.questions import Question, ask
from zentry_web.web.output.flash import success
from zentry_web.web.output.htmx import go_to
from zentry_web.web.services import services
from zentry_web.web.session.actor import current_actor, me


@blueprint.route("/ssh-keys", methods=["GET", "POST"])
def ssh_keys() -> ResponseReturnValue:
    """One's keys; a POST adds one."""
    user, actor, form = me(), current_actor(), SshKeyForm()
    keys = services().users.ssh_keys
    if request.method == "POST" and form.submit(
        lambda: keys.add(user.id, form.text("public_key"), form.text("name"), actor=actor)
    ):
        words = _("The key “%(name)s” is added. Tick it when you launch a machine.", name=form.result.name)
        success(words, _("Launch a machine"), url_for("vms.create"))
        return go_to(url_for("account.ssh_keys"))
    found = keys.list_keys(user.id, actor=actor)
    return render_template("account/ssh_keys.html", form=form, keys=found), form.status


@blueprint.route("/ssh-keys/<key_id>", methods=["GET", "POST"])
def ssh_key(key_id: str) -> ResponseReturnValue:
    """One key; a POST gives it another name."""
    user, actor, keys = me(), current_actor(), services().users.ssh_keys
    key = keys.get_key(user.id, key_id, actor=actor)
    form = SshKeyNameForm(data={"name": key.name})
    if request.method == "POST" and form.submit(lambda: keys.rename(user.id, key_id, form.text("name"), actor=actor)):
        success(_("The key has its new name."))
        return go_to(url_for("account.ssh_keys"))
    return render_template("account/ssh_key.html", form=form, key=key), form.status


@blueprint.route("/ssh-keys/<key_id>/remove", methods=["GET", "POST"])
def remove_ssh_key(key_id: str) -> ResponseReturnValue:
    """Offer a key no more."""
    if request.method == "GET":
        key = services().users.ssh_keys.get_key(me().id, key_id, actor=current_actor())
        text = _(
            "It is not offered at launches any more. Machines that have it keep it: it goes on letting you in there."
        )
        question = _("Remove the key “%(name)s”?", name=key.name)
        return ask(Question(question, text, _("Remove"), url_for("account.ssh_keys"), "account"))
    removed = services().users.ssh_keys.remove(me().id, key_id, actor=current_actor())
    success(_("The key “%(name)s” is removed. Machines that have it keep it.", name=removed.name))
    return redirect(url_for("account.ssh_keys"), 303)
