"""Forms of the credits pages."""

import secrets

from wtforms import HiddenField, StringField
from wtforms.validators import InputRequired, Length

from zentry_web.domain.language import lazy
from zentry_web.web.input.forms import BaseForm, as_key


class RedeemForm(BaseForm):
    """``request_key`` tells a form sent twice from a second one."""

    code = StringField(
        lazy("Voucher code"),
        validators=[InputRequired(lazy("Enter the code of your voucher."))],
        filters=[lambda typed: typed.replace("\x00", "") if typed else typed],  # which nobody can see in it
    )
    request_key = HiddenField(validators=[Length(max=100)], filters=[as_key])


def redeem_form(code: str = "") -> RedeemForm:
    """A fresh form."""
    return RedeemForm(data={"code": code, "request_key": secrets.token_hex(16)})
