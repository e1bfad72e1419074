"""Credits: balance and run-out, this month's usage, transactions."""

from flask import Blueprint, render_template, request
from flask.typing import ResponseReturnValue

from zentry_web.blueprints.billing.forms import redeem_form
from zentry_web.web.actor import current_actor, me
from zentry_web.web.context import use_balance
from zentry_web.web.htmx import is_htmx
from zentry_web.web.paging import PAGE_SIZE, here, last_key, pages, text_argument
from zentry_web.web.services import services

blueprint = Blueprint("billing", __name__, url_prefix="/credits")

USAGE_LINES = 20


@blueprint.get("")
def index() -> ResponseReturnValue:
    """The page, or for htmx its moving part."""
    billing, actor = services().get_billing_service(), current_actor()
    balance = billing.get_balance(actor.id, actor=actor)
    use_balance(balance)
    usage = billing.get_usage_summary(actor.id, actor=actor)
    shown = len(usage.lines) if request.args.get("all") else USAGE_LINES
    before, with_holds = text_argument("before") or None, bool(request.args.get("holds"))
    transactions = billing.list_transactions(
        actor.id, actor=actor, with_holds=with_holds, before=before, limit=PAGE_SIZE
    )
    template = "billing/_refreshed.html" if is_htmx() else "billing/index.html"
    context = {
        "usage": usage,
        "shown_lines": shown,
        "all_url": here(all="y"),
        "with_holds": with_holds,
        "holds_url": here(holds=None if with_holds else "y", before=None),
        "this_url": here(),
        "redeem_form": redeem_form(),
    }
    return render_template(template, transactions=transactions, **context, **pages(last_key(transactions, "id")))


@blueprint.get("/balance")
def balance_chip() -> ResponseReturnValue:
    """The balance in the sidebar, by itself."""
    me()
    return render_template("components/_balance_chip.html")
