"""Forms of the credits pages."""

import secrets

from wtforms import HiddenField, StringField
from wtforms.validators import InputRequired, Length

from zentry_web.web.forms import BaseForm, as_key, without_nul


class RedeemForm(BaseForm):
    """``request_key`` tells a form sent twice from a second one."""

    code = StringField(
        "Voucher code",
        validators=[InputRequired("Enter the code of your voucher.")],
        filters=[without_nul],
    )
    request_key = HiddenField(validators=[Length(max=100)], filters=[as_key])


def redeem_form(code: str = "") -> RedeemForm:
    """A fresh form."""
    return RedeemForm(data={"code": code, "request_key": secrets.token_hex(16)})
