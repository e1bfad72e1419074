"""Redeeming a voucher: on the credits page, and on a page of its own."""

from flask import render_template, request, url_for
from flask.typing import ResponseReturnValue

from zentry_web.blueprints.billing.forms import redeem_form
from zentry_web.blueprints.billing.routes import blueprint
from zentry_web.web.actor import current_actor, me
from zentry_web.web.flash import success
from zentry_web.web.htmx import go_to, is_htmx
from zentry_web.web.paging import text_argument
from zentry_web.web.regions import credits_text
from zentry_web.web.services import services


@blueprint.route("/redeem", methods=["GET", "POST"])
def redeem() -> ResponseReturnValue:
    """Add a voucher's credits. A link may bring the code: ``?code=…`` fills it in, sending it is the person's."""
    user, actor = me(), current_actor()
    form = redeem_form(text_argument("code"))
    if request.method == "POST":
        vouchers, key = services().get_billing_service().vouchers, form.text("request_key")
        if form.submit(lambda: vouchers.redeem(user.id, form.text("code"), actor=actor, request_key=key)):
            success(f"{credits_text(form.result.value_micro)} credits are added to your balance.")
            return go_to(url_for("billing.index"))
    template = "billing/_redeem.html" if is_htmx() else "billing/redeem.html"
    return render_template(template, redeem_form=form), form.status
