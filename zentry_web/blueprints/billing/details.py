"""Billing details: whom receipts are made out to. And receipts as PDF."""

from flask import Response, render_template, request, url_for
from flask.typing import ResponseReturnValue
from wtforms import RadioField, SelectField, StringField, TextAreaField
from wtforms.validators import AnyOf, Length

from zentry_web.blueprints.billing.routes import blueprint
from zentry_web.domain.countries import country_choices
from zentry_web.domain.credits.taxes import MAX_ADDRESS, MAX_NAME, TradeParty
from zentry_web.domain.language import _, lazy
from zentry_web.web.input.forms import BaseForm, SelectChoice
from zentry_web.web.output.flash import success
from zentry_web.web.output.htmx import go_to
from zentry_web.web.output.pdf import render_pdf
from zentry_web.web.services import services
from zentry_web.web.session.actor import current_actor, me

KINDS = {"person": lazy("Person"), "business": lazy("Business")}


class DetailsForm(BaseForm):
    kind = RadioField(
        lazy("Who buys"),
        choices=[SelectChoice(value, text) for value, text in KINDS.items()],
        validate_choice=False,
        validators=[AnyOf(list(KINDS), lazy("Choose one of these."))],
    )
    name = StringField(lazy("Name"), validators=[Length(max=MAX_NAME)])
    address = TextAreaField(lazy("Address"), validators=[Length(max=MAX_ADDRESS)])
    country = SelectField(
        lazy("Country"),
        choices=[],
        validate_choice=False,
    )
    vat_number = StringField(lazy("VAT number"), validators=[Length(max=60)])


def _form(now: TradeParty) -> DetailsForm:
    kept = {"name": now.name, "address": now.address, "country": now.country, "vat_number": now.vat_number}
    form = DetailsForm(data=kept | {"kind": "business" if now.is_business else "person"})
    named = (SelectChoice(code, name) for code, name in country_choices())
    form.country.choices = [SelectChoice("", _("Not said")), *named]
    return form


@blueprint.route("/details", methods=["GET", "POST"])
def details() -> ResponseReturnValue:
    """Name, address, country and VAT number for receipts."""
    parties, actor = services().billing.parties, current_actor()
    form = _form(parties.get_details(me().id, actor=actor))
    if request.method == "POST" and form.submit(lambda: parties.set_details(me().id, _wanted(form), actor=actor)):
        success(_("Billing details saved."))
        return go_to(url_for("billing.details"))
    tax = services().billing.payments.taxes.tax_on(me().id, 0, actor=actor)
    return render_template("billing/details.html", form=form, tax=tax), form.status


@blueprint.get("/receipts/<receipt_id>.pdf")
def receipt_pdf(receipt_id: str) -> ResponseReturnValue:
    """One receipt or credit note, as PDF."""
    receipt = services().billing.payments.receipts.get_for_pdf(me().id, receipt_id, actor=current_actor())
    document = render_pdf(render_template("billing/receipt_document.html", receipt=receipt))
    headers = {"Content-Disposition": f'attachment; filename="zentry-{receipt.full_number}.pdf"'}
    return Response(document, mimetype="application/pdf", headers=headers)


def _wanted(form: DetailsForm) -> TradeParty:
    return TradeParty(
        form.text("name"), form.text("address"), form.text("country"), form.text("vat_number"),
        is_business=form.kind.data == "business",
    )  # fmt: skip
