"""SSH public keys that can be ticked at a launch."""

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from zentry_web.blueprints.account.forms import SshKeyForm, SshKeyNameForm
from zentry_web.blueprints.account.routes import blueprint
from zentry_web.web.actor import current_actor, me
from zentry_web.web.flash import success
from zentry_web.web.htmx import go_to
from zentry_web.web.services import services


@blueprint.route("/ssh-keys", methods=["GET", "POST"])
def ssh_keys() -> ResponseReturnValue:
    """One's keys; a POST adds one."""
    user, actor, form = me(), current_actor(), SshKeyForm()
    keys = services().get_user_service().ssh_keys
    if request.method == "POST" and form.submit(
        lambda: keys.add(user.id, form.text("public_key"), form.text("name"), actor=actor)
    ):
        success(f"The key “{form.result.name}” is added. Tick it when you launch a machine.")
        return go_to(url_for("account.ssh_keys"))
    found = keys.list_keys(user.id, actor=actor)
    return render_template("account/ssh_keys.html", form=form, keys=found), form.status


@blueprint.route("/ssh-keys/<key_id>", methods=["GET", "POST"])
def ssh_key(key_id: str) -> ResponseReturnValue:
    """One key; a POST gives it another name."""
    user, actor, keys = me(), current_actor(), services().get_user_service().ssh_keys
    key = keys.get_key(user.id, key_id, actor=actor)
    form = SshKeyNameForm(data={"name": key.name})
    if request.method == "POST" and form.submit(lambda: keys.rename(user.id, key_id, form.text("name"), actor=actor)):
        success("The key has its new name.")
        return go_to(url_for("account.ssh_keys"))
    return render_template("account/ssh_key.html", form=form, key=key), form.status


@blueprint.post("/ssh-keys/<key_id>/remove")
def remove_ssh_key(key_id: str) -> ResponseReturnValue:
    """Offer a key no more."""
    removed = services().get_user_service().ssh_keys.remove(me().id, key_id, actor=current_actor())
    success(f"The key “{removed.name}” is removed. Machines that have it keep it.")
    return redirect(url_for("account.ssh_keys"), 303)
