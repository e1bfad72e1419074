"""For admins: the table of taxes on top-ups, and what came together by it."""

from datetime import UTC, date, datetime, time
from typing import ClassVar

from flask import Response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from wtforms import DateField, SelectField, StringField
from wtforms.validators import InputRequired, Length, Optional

from zentry_web.blueprints.admin.routes import blueprint
from zentry_web.domain.countries import COUNTRIES, country_name
from zentry_web.domain.credits.taxes import MAX_LABEL, MAX_NOTE, BuyerKind, TaxRate
from zentry_web.domain.language import _, lazy
from zentry_web.domain.zones import zone_of
from zentry_web.services.errors import ValidationError
from zentry_web.web.input.forms import BaseForm, SelectChoice
from zentry_web.web.input.period import Period
from zentry_web.web.input.questions import Question, ask
from zentry_web.web.output.files import csv_file
from zentry_web.web.output.filters import viewer_zone
from zentry_web.web.output.flash import success
from zentry_web.web.output.htmx import go_to
from zentry_web.web.services import services
from zentry_web.web.session.actor import current_actor

KINDS = {
    BuyerKind.PERSON: lazy("Person"),
    BuyerKind.BUSINESS: lazy("Business"),
    BuyerKind.REGISTERED: lazy("Business with a VAT number"),
}
COLUMNS = (
    "month", "country", "buyer", "tax", "rate_basis_points", "currency", "receipts", "credit_notes", "net_minor",
    "tax_minor", "gross_minor",
)  # fmt: skip


class TaxRateForm(BaseForm):
    fields_of_service: ClassVar = {"basis_points": "rate", "valid_from": "first_day"}

    country = SelectField(
        lazy("Country"),
        choices=[
            SelectChoice("", lazy("Choose a country")),
            *(SelectChoice(code, name) for code, name in COUNTRIES.items()),
        ],
        validate_choice=False,
        validators=[InputRequired(lazy("Choose a country."))],
    )
    kind = SelectField(lazy("Buyer"), choices=[SelectChoice(kind.value, text) for kind, text in KINDS.items()])
    rate = StringField(
        lazy("Rate, per cent"), validators=[InputRequired(lazy("Enter a rate, 0 for none.")), Length(max=8)]
    )
    label = StringField(lazy("Name"), validators=[Length(max=MAX_LABEL)])
    note = StringField(lazy("Note on receipts"), validators=[Length(max=MAX_NOTE)])
    first_day = DateField(lazy("First day"), validators=[Optional()])

    def wanted(self, now: datetime) -> TaxRate:
        """What was typed. Raises ValidationError for its field."""
        begin = _begin(self.first_day.data) if self.first_day.data else now
        points = _basis_points(self.text("rate"))
        return TaxRate(
            "", self.text("country"), BuyerKind(self.kind.data), points, self.text("label"), self.text("note"), begin
        )


@blueprint.get("/taxes")
def taxes() -> ResponseReturnValue:
    """The table, and what the last months came to."""
    billing, actor, now = services().billing.payments, current_actor(), services().clock.now()
    rates, period = billing.taxes.list_rates(actor=actor), Period.from_request(now, zone_of("UTC"))
    sums = billing.receipts.sums(period.start, period.end, actor=actor)
    shown = {"rates": rates, "sums": sums, "period": period, "kinds": KINDS, "country": country_name, "now": now}
    return render_template("admin/taxes.html", **shown, seller=services().billing.parties.get_seller())


@blueprint.get("/taxes.csv")
def tax_file() -> Response:
    """The sums of a period, by month, country, kind of buyer and rate."""
    period = Period.from_request(services().clock.now(), zone_of("UTC"))
    found = services().billing.payments.receipts.export(period.start, period.end, actor=current_actor())
    rows = (
        (
            each.month, each.country, each.kind, each.label, each.basis_points, each.currency, each.receipts,
            each.credit_notes, each.net_minor, each.tax_minor, each.gross_minor,
        )
        for each in found
    )  # fmt: skip
    return csv_file(f"zentry-taxes-{period.first}-{period.last}", COLUMNS, rows)


@blueprint.route("/taxes/new", methods=["GET", "POST"])
def add_tax() -> ResponseReturnValue:
    """A new row."""
    form, actor, service = TaxRateForm(data={"label": "VAT"}), current_actor(), services().billing.payments.taxes
    now = services().clock.now()
    if request.method == "POST" and form.submit(lambda: service.add_rate(form.wanted(now), actor=actor)):
        success(_("The rate is added."))
        return go_to(url_for("admin.taxes"))
    return render_template("admin/tax_new.html", form=form), form.status


@blueprint.route("/taxes/<rate_id>/remove", methods=["GET", "POST"])
def remove_tax(rate_id: str) -> ResponseReturnValue:
    """Take back a row that has not begun."""
    service, actor, back = services().billing.payments.taxes, current_actor(), url_for("admin.taxes")
    if request.method == "GET":
        rate = service.get_rate(rate_id, actor=actor)
        country = country_name(rate.country)
        title = (
            _(
                "Remove %(label)s of %(percent)s for %(country)s?",
                label=rate.label,
                percent=rate.percent,
                country=country,
            )
            if rate.label
            else _("Remove the rate of %(percent)s for %(country)s?", percent=rate.percent, country=country)
        )
        text = _("It has not begun: what holds now goes on.")
        return ask(Question(title, text, _("Remove"), back, "admin.taxes", icon="trash"))
    service.remove_rate(rate_id, actor=actor)
    success(_("The rate is removed."))
    return redirect(back, 303)


def _begin(day: date) -> datetime:
    if not date(1971, 1, 1) <= day <= date(9000, 1, 1):
        text = _("Choose another day.")
        raise ValidationError(text, details={"valid_from": text})
    return datetime.combine(day, time(), tzinfo=viewer_zone()).astimezone(UTC)


def _basis_points(typed: str) -> int:
    """Per cent with up to two decimals, as basis points. Raises ValidationError."""
    whole, point, part = typed.replace("%", "").replace(",", ".").strip().partition(".")
    if not (whole + part).isascii() or not whole.isdigit() or len(part) > 2 or (point and not part.isdigit()):
        text = _("Enter per cent with at most two decimals, such as 19 or 5.5.")
        raise ValidationError(text, details={"basis_points": text})
    return int(whole) * 100 + int(part.ljust(2, "0") or 0)
