"""Who sells and who buys, as receipts and statements name them: the operator by settings, a person by what they say."""

from sqlalchemy.orm import Session

from zentry_web.domain.countries import COUNTRIES
from zentry_web.domain.credits.taxes import MAX_ADDRESS, MAX_NAME, TradeParty
from zentry_web.domain.credits.vat_numbers import parse_vat_number
from zentry_web.domain.event import Subject
from zentry_web.domain.language import _
from zentry_web.domain.setting import SettingKey
from zentry_web.domain.text import clean_line, clean_text
from zentry_web.domain.user import SYSTEM, Actor
from zentry_web.models import DbBillingDetails
from zentry_web.services.base_service import BaseService, Core
from zentry_web.services.shared.access import require_self
from zentry_web.services.shared.fields import Fields
from zentry_web.services.shared.setting_values import SettingValues

SELLER = (SettingKey.SELLER_NAME, SettingKey.SELLER_ADDRESS, SettingKey.SELLER_COUNTRY, SettingKey.SELLER_VAT_NUMBER)


class Parties(BaseService):
    """Billing details of people, and the seller's."""

    name = "parties"

    def __init__(self, core: Core, settings: SettingValues) -> None:
        super().__init__(core)
        self._settings = settings

    def get_details(self, user_id: str, *, actor: Actor = SYSTEM) -> TradeParty:
        """Whom a person's receipts are made out to; an empty one where nothing was said. Raises NotFoundError (somebody
        else's)."""
        require_self(actor, user_id)
        with self.reading() as session:
            return read_details(session, user_id)

    def set_details(self, user_id: str, wanted: TradeParty, *, actor: Actor = SYSTEM) -> TradeParty:
        """Change them, for payments that begin from now on; audited. Raises ValidationError (name, address, country,
        vat_number)."""
        require_self(actor, user_id)
        found = _checked(wanted)
        with self.transaction() as session:
            row = session.get(DbBillingDetails, user_id, with_for_update=True) or DbBillingDetails(user_id=user_id)
            row.name, row.address, row.country = found.name, found.address, found.country
            row.vat_number, row.is_business = found.vat_number, found.is_business
            session.add(row)
            details = {"country": found.country, "kind": str(found.kind)}
            self.audit("billing.details", Subject.user(user_id), details, actor=actor)
        return found

    def get_seller(self) -> TradeParty:
        """The operator. One statement."""
        values = {key: str(value) for key, value in self._settings.get_several(SELLER).items()}
        name, address, country, vat_number = (values[key] for key in SELLER)
        return TradeParty(name, address, country, vat_number, is_business=True)


def read_details(session: Session, user_id: str) -> TradeParty:
    """A person's billing details, in an open session."""
    row = session.get(DbBillingDetails, user_id)
    if row is None:
        return TradeParty()
    return TradeParty(row.name, row.address, row.country, row.vat_number, row.is_business)


def _checked(wanted: TradeParty) -> TradeParty:
    fields = Fields({
        "name": wanted.name, "address": wanted.address, "country": wanted.country, "vat_number": wanted.vat_number,
    })  # fmt: skip
    name = fields.take("name", lambda typed: clean_line(typed, longest=MAX_NAME), "")
    address = fields.take("address", lambda typed: clean_text(typed, longest=MAX_ADDRESS), "")
    country = fields.take("country", _parse_country, "")
    number = fields.take("vat_number", lambda typed: parse_vat_number(typed, country), "") if country else ""
    if wanted.vat_number.strip() and not wanted.is_business:
        fields.errors["vat_number"] = _("Only a business has a VAT number: choose Business, or leave it empty.")
    elif wanted.vat_number.strip() and not country:
        fields.errors.setdefault("country", _("Choose the country of the VAT number."))
    fields.check()
    return TradeParty(name, address, country, number, wanted.is_business)


def _parse_country(typed: object) -> str:
    code = typed if isinstance(typed, str) else ""
    if code and code not in COUNTRIES:
        raise ValueError(_("Choose a country of the list."))
    return code
