"""The operator's table of taxes, and what a payment is taxed by it."""

from datetime import datetime, timedelta

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from zentry_web.domain.countries import COUNTRIES
from zentry_web.domain.credits.taxes import MAX_LABEL, MAX_NOTE, WHOLE, BuyerKind, Tax, TaxRate, tax_for
from zentry_web.domain.event import Subject
from zentry_web.domain.language import _
from zentry_web.domain.text import clean_line
from zentry_web.domain.user import SYSTEM, Actor
from zentry_web.models import DbTaxRate
from zentry_web.services.base_service import BaseService, Core
from zentry_web.services.errors import ConflictError, NotFoundError
from zentry_web.services.shared.access import require_admin, require_self
from zentry_web.services.shared.fields import invalid
from zentry_web.services.shared.parties import Parties, read_details

_FAR = timedelta(days=3653)


class Taxes(BaseService):
    """Rates are basis points, money is minor units, times aware UTC."""

    name = "taxes"

    def __init__(self, core: Core, parties: Parties, currency: str) -> None:
        super().__init__(core)
        self._parties = parties
        self._currency = currency

    def tax_on(self, user_id: str, net_minor: int, *, actor: Actor = SYSTEM) -> Tax:
        """What a payment of ``net_minor`` that begins now would be taxed."""
        require_self(actor, user_id)
        with self.reading() as session:
            return self.work_out(session, user_id, net_minor)

    def work_out(self, session: Session, user_id: str, net_minor: int) -> Tax:
        """The same in an open session: to be kept with the payment, and never worked out again."""
        buyer, home = read_details(session, user_id), self._parties.get_seller().country
        query = select(DbTaxRate).where(DbTaxRate.country == (buyer.country or home))
        rates = [_as_rate(row) for row in session.scalars(query)]
        return tax_for(net_minor, self._currency, buyer, home, rates, self.now())

    # -- for admins -----------------------------------------------------------------------------

    def list_rates(self, *, actor: Actor = SYSTEM) -> list[TaxRate]:
        """The table, by country and kind, the newest first; admins only."""
        require_admin(actor)
        query = select(DbTaxRate).order_by(
            DbTaxRate.country, DbTaxRate.kind, DbTaxRate.valid_from.desc(), DbTaxRate.id.desc()
        )
        with self.reading() as session:
            return [_as_rate(row) for row in session.scalars(query)]

    def add_rate(self, wanted: TaxRate, *, actor: Actor = SYSTEM) -> TaxRate:
        """A new row; its ``id`` and ``created_by`` are made here. From ``valid_from`` on, which is not over, it takes
        the place of older ones of the same country and kind. Admins only; audited. Raises ValidationError (country,
        basis_points, label, note, valid_from)."""
        require_admin(actor)
        now = self.now()
        label, note = _check(wanted, now)
        row = DbTaxRate(
            id=self.new_id("tax"), country=wanted.country, kind=str(wanted.kind), basis_points=wanted.basis_points,
            label=label, note=note, valid_from=max(wanted.valid_from, now), created_by=actor.id, created_at=now,
        )  # fmt: skip
        with self.transaction() as session:
            session.add(row)
            session.flush()
            details = {"country": row.country, "kind": row.kind, "basis_points": row.basis_points}
            self.audit("tax.rate_add", Subject("tax_rate", row.id), details, actor=actor)
            return _as_rate(row)

    def get_rate(self, rate_id: str, *, actor: Actor = SYSTEM) -> TaxRate:
        """One row; admins only. Raises NotFoundError."""
        require_admin(actor)
        with self.reading() as session:
            row = session.get(DbTaxRate, rate_id)
            if row is None:
                raise NotFoundError(_("There is no such rate."))
            return _as_rate(row)

    def remove_rate(self, rate_id: str, *, actor: Actor = SYSTEM) -> None:
        """Take back a row that has not begun; admins only; audited. Raises NotFoundError, ConflictError (in force)."""
        found = self.get_rate(rate_id, actor=actor)
        if found.valid_from <= self.now():
            raise ConflictError(_("This rate is in force or was: add one that takes its place."))
        with self.transaction() as session:
            session.execute(delete(DbTaxRate).where(DbTaxRate.id == rate_id))
            details = {"country": found.country, "kind": str(found.kind), "basis_points": found.basis_points}
            self.audit("tax.rate_remove", Subject("tax_rate", rate_id), details, actor=actor)


def _check(wanted: TaxRate, now: datetime) -> tuple[str, str]:
    """Label and note, trimmed. Raises ValidationError with all that is wrong."""
    errors: dict[str, str] = {}
    if wanted.country not in COUNTRIES:
        errors["country"] = _("Choose a country of the list.")
    if not 0 <= wanted.basis_points <= WHOLE:
        errors["basis_points"] = _("Enter 0 to 100 per cent.")
    if not now - timedelta(days=1) <= wanted.valid_from <= now + _FAR:
        errors["valid_from"] = _("It can begin today or within ten years.")
    texts = []
    for name, text, longest in (("label", wanted.label, MAX_LABEL), ("note", wanted.note, MAX_NOTE)):
        try:
            texts.append(clean_line(text, longest=longest))
        except ValueError as error:
            errors[name] = str(error)
    if not errors and wanted.basis_points and not texts[0]:
        errors["label"] = _("Say what it is called, such as VAT.")
    if errors:
        raise invalid(errors)
    return texts[0], texts[1]


def _as_rate(row: DbTaxRate) -> TaxRate:
    return TaxRate(
        row.id, row.country, BuyerKind(row.kind), row.basis_points, row.label, row.note, row.valid_from, row.created_by
    )
