"""Redeeming a voucher: on the credits page, and on a page of its own."""

from flask import render_template, request, url_for
from flask.typing import ResponseReturnValue

from zentry_web.blueprints.billing.forms import redeem_form
from zentry_web.blueprints.billing.routes import blueprint
from zentry_web.domain.language import _
from zentry_web.web.input.paging import text_argument
from zentry_web.web.output.flash import success
from zentry_web.web.output.htmx import go_to
from zentry_web.web.output.regions import credits_text
from zentry_web.web.services import services
from zentry_web.web.session.actor import current_actor, me


@blueprint.route("/redeem", methods=["GET", "POST"])
def redeem() -> ResponseReturnValue:
    """Add a voucher's credits. A link may bring the code: ``?code=…`` fills it in, sending it is the person's."""
    user, actor = me(), current_actor()
    form = redeem_form(text_argument("code"))
    if request.method == "POST":
        vouchers, key = services().billing.vouchers, form.text("request_key")
        if form.submit(lambda: vouchers.redeem(user.id, form.text("code"), actor=actor, request_key=key)):
            added = credits_text(form.result.value_micro)
            words = _("%(credits)s credits added to your balance.", credits=added)
            success(words, _("See the transactions"), url_for("billing.transactions"))
            return go_to(url_for("billing.index"))
    return render_template("billing/redeem.html", redeem_form=form), form.status
