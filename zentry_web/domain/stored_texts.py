"""What is stored in English as it was said then, with what it is about filled in (why credits moved, how parts are), in
the reader's language: the text that it was made of is looked for, and its translation filled with the same."""

import re
from functools import lru_cache

from zentry_web.domain.driver_texts import PROBLEMS
from zentry_web.domain.language import ENGLISH, fill, find, kept, language

# Said by services/billing (reasons of transfers stay in the ledger for ever) and by checks of health; by drivers.
TEXTS = (
    kept("Usage until %(moment)s UTC"),
    kept("Held for %(minutes)s minutes of running"),
    kept("Held for a larger size"),
    kept("Holds renewed"),
    kept("Hold released"),
    kept("Not needed at its new price"),
    kept("Not needed for its size"),
    kept("Payment of %(price)s (%(payment)s)"),
    kept("Payment refunded (%(payment)s)"),
    kept("Refund failed (%(payment)s)"),
    kept("Payment disputed (%(payment)s)"),
    kept("Dispute settled (%(payment)s)"),
    kept("Voucher %(code)s"),
    kept("Starting credits"),
    kept("Promotional credit expired: %(inner)s"),
    kept("The means of payment was removed."),
    kept("The payment did not go through."),
    kept("last heard of %(age)s s ago"),
    kept("not checked for %(age)s s"),
    kept("no worker has ever reported"),
    kept("unknown while the database does not answer"),
    kept("%(error)s: the database does not answer"),
    kept("The worker has not asked it for a while."),
    kept("It has not answered for a while."),
    kept(
        "%(free)s are free on the disk of the data folder. Once it is full nothing can be saved: no log-ins, "
        "no launches, and what is used is billed when there is room again."
    ),
    kept(
        "The host's clock leapt: it is %(days)s days ahead of the time that has gone by. Zentry goes on by its own "
        "until the clock is right again, or has stayed there for a day."
    ),
    kept(
        "The host's clock leapt: it is %(days)s days behind the time that has gone by. Zentry goes on by its own "
        "until the clock is right again, or has stayed there for a day."
    ),
    kept(
        "The host's clock leapt: it is %(hours)s hours ahead of the time that has gone by. Zentry goes on by its own "
        "until the clock is right again, or has stayed there for a day."
    ),
    kept(
        "The host's clock leapt: it is %(hours)s hours behind the time that has gone by. Zentry goes on by its own "
        "until the clock is right again, or has stayed there for a day."
    ),
    kept("No worker has reported yet."),
    kept("It comes back from the recycle bin in a moment."),
    kept("The payment provider could not be reached."),
    kept("The payment provider refuses this refund."),
    kept("The card was declined."),
    kept("The bank wants you to confirm this payment yourself."),
    kept("The bank returned the money."),
    kept("Sign-ups from one network address could then get %(credits)s credits a day."),
    kept("So much one admin could then move alone within 24 hours."),
    *PROBLEMS,
)
_PLACE = re.compile(r"%\((\w+)\)s")


def said(text: str) -> str:
    """A stored text as its reader should see it; what people wrote themselves stays as it is."""
    if language() == ENGLISH or not text:
        return text
    if (whole := find(text)) != text:
        return whole
    for english, pattern in _patterns():
        if found := pattern.fullmatch(text):
            values = found.groupdict()
            if "inner" in values:
                values["inner"] = said(values["inner"])
            return fill(find(english), values)
    return text


@lru_cache
def _patterns() -> tuple[tuple[str, re.Pattern[str]], ...]:
    plain = {each: re.escape(each).replace(r"%\(", "%(").replace(r"\)s", ")s") for each in TEXTS if _PLACE.search(each)}
    return tuple((each, re.compile(_PLACE.sub(r"(?P<\1>.+)", escaped), re.DOTALL)) for each, escaped in plain.items())
