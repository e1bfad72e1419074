"""Statements: the list, one as a page, as PDF and as CSV."""

from typing import Any

from flask import Response, render_template
from flask.typing import ResponseReturnValue

from zentry_web.blueprints.billing.routes import blueprint
from zentry_web.domain.credits.statement import Statement
from zentry_web.domain.credits.taxes import tax_totals
from zentry_web.web.output.files import csv_answer
from zentry_web.web.output.pdf import render_pdf
from zentry_web.web.services import services
from zentry_web.web.session.actor import current_actor, me


@blueprint.get("/statements")
def statements() -> ResponseReturnValue:
    """Every closed month, newest first."""
    found = services().billing.statements.list_statements(me().id, actor=current_actor())
    return render_template("billing/statements.html", statements=found)


@blueprint.get("/statements/<statement_id>")
def statement(statement_id: str) -> ResponseReturnValue:
    """One closed month."""
    found = _load(statement_id)
    return render_template("billing/statement.html", statement=found, **_around(found))


@blueprint.get("/statements/<statement_id>.pdf")
def statement_pdf(statement_id: str) -> ResponseReturnValue:
    """The same, as PDF."""
    billing = services().billing
    found = billing.statements.get_for_pdf(me().id, statement_id, actor=current_actor())
    page = render_template("billing/statement_document.html", statement=found, **_around(found))
    document = render_pdf(page)
    headers = {"Content-Disposition": f'attachment; filename="{_name(found)}.pdf"'}
    return Response(document, mimetype="application/pdf", headers=headers)


@blueprint.get("/statements/<statement_id>.csv")
def statement_csv(statement_id: str) -> ResponseReturnValue:
    """The same with every charge and all its inputs."""
    found = _load(statement_id)
    text = services().billing.statements.get_csv(me().id, statement_id, actor=current_actor())
    return csv_answer(text, _name(found))


def _load(statement_id: str) -> Statement:
    billing = services().billing
    return billing.statements.get_statement(me().id, statement_id, actor=current_actor())


def _around(found: Statement) -> dict[str, Any]:
    """What stands on a statement besides its own figures: whose it is, who sells, who buys, the month's receipts.

    Seller and buyer are as they were when the month closed. Where nothing had been said by then, as they are now.
    """
    billing, actor = services().billing, current_actor()
    seller, buyer = found.seller, found.buyer
    if seller is None or not seller.lines:
        seller = billing.parties.get_seller()
    if buyer is None or not buyer.lines:
        buyer = billing.parties.get_details(found.owner_id, actor=actor)
    receipts = billing.payments.receipts.list_between(found.owner_id, found.start, found.end, actor=actor)
    return {"account": me(), "seller": seller, "buyer": buyer, "receipts": receipts, "tax_totals": tax_totals(receipts)}


def _name(found: Statement) -> str:
    return f"zentry-statement-{found.month}-{found.number:06d}"
