"""Statements: the list, one as a page, as PDF and as CSV."""

from flask import Response, render_template
from flask.typing import ResponseReturnValue

from zentry_web.blueprints.billing.routes import blueprint
from zentry_web.domain.statement import Statement
from zentry_web.web.actor import current_actor, me
from zentry_web.web.files import csv_answer
from zentry_web.web.pdf import render_pdf
from zentry_web.web.services import services


@blueprint.get("/statements")
def statements() -> ResponseReturnValue:
    """Every closed month, newest first."""
    found = services().get_billing_service().statements.list_statements(me().id, actor=current_actor())
    return render_template("billing/statements.html", statements=found)


@blueprint.get("/statements/<statement_id>")
def statement(statement_id: str) -> ResponseReturnValue:
    """One closed month."""
    return render_template("billing/statement.html", statement=_load(statement_id))


@blueprint.get("/statements/<statement_id>.pdf")
def statement_pdf(statement_id: str) -> ResponseReturnValue:
    """The same, as PDF."""
    billing = services().get_billing_service()
    found = billing.statements.get_for_pdf(me().id, statement_id, actor=current_actor())
    document = render_pdf(render_template("billing/statement_document.html", statement=found))
    headers = {"Content-Disposition": f'attachment; filename="{_name(found)}.pdf"'}
    return Response(document, mimetype="application/pdf", headers=headers)


@blueprint.get("/statements/<statement_id>.csv")
def statement_csv(statement_id: str) -> ResponseReturnValue:
    """The same with every charge and all its inputs."""
    found = _load(statement_id)
    text = services().get_billing_service().statements.get_csv(me().id, statement_id, actor=current_actor())
    return csv_answer(text, _name(found))


def _load(statement_id: str) -> Statement:
    billing = services().get_billing_service()
    return billing.statements.get_statement(me().id, statement_id, actor=current_actor())


def _name(found: Statement) -> str:
    return f"zentry-statement-{found.month}-{found.number:06d}"
