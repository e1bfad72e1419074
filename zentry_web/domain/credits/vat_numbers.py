"""How VAT numbers look, by country. Source of the patterns: the European Commission's VIES FAQ, question 11 (EU and
Northern Ireland); for Great Britain HMRC, for Switzerland the FSTA, for Norway Brønnøysund. That a number looks right
does not tell whether it was given to anybody: the operator may look it up in VIES.
"""

import re
import unicodedata
from collections.abc import Callable

from zentry_web.domain.language import _

_SIGNS = re.compile(r"[\s.\-/]+")
_OTHER = re.compile(r"[A-Z0-9+*]{4,20}")  # of countries that are not in the table
PREFIXES = {"GR": "EL", "CH": "CHE"}  # where it is not the country's two letters

# What follows the prefix.
PATTERNS = {
    "AT": r"U\d{8}", "BE": r"[01]\d{9}", "BG": r"\d{9,10}", "CY": r"\d{8}[A-Z]", "CZ": r"\d{8,10}", "DE": r"\d{9}",
    "DK": r"\d{8}", "EE": r"\d{9}", "GR": r"\d{9}", "ES": r"[A-Z0-9]\d{7}[A-Z0-9]", "FI": r"\d{8}",
    "FR": r"[A-Z0-9]{2}\d{9}", "HR": r"\d{11}", "HU": r"\d{8}", "IE": r"\d[A-Z0-9+*]\d{5}[A-Z]{1,2}", "IT": r"\d{11}",
    "LT": r"\d{9}|\d{12}", "LU": r"\d{8}", "LV": r"\d{11}", "MT": r"\d{8}", "NL": r"[A-Z0-9+*]{12}", "PL": r"\d{10}",
    "PT": r"\d{9}", "RO": r"\d{2,10}", "SE": r"\d{12}", "SI": r"\d{8}", "SK": r"\d{10}",
    "GB": r"\d{9}|\d{12}|(GD|HA)\d{3}", "CH": r"\d{9}(MWST|TVA|IVA)?", "NO": r"\d{9}(MVA)?",
}  # fmt: skip
EXAMPLES = {"AT": "ATU12345678", "DE": "DE136695976", "GB": "GB123456789", "CH": "CHE123456789MWST"}


def _germany(digits: str) -> bool:
    """ISO 7064, MOD 11,10."""
    product = 10
    for digit in map(int, digits[:8]):
        total = (digit + product) % 10 or 10
        product = 2 * total % 11
    return (11 - product) % 10 == int(digits[8])


def _weighted(digits: str, weights: tuple[int, ...]) -> int:
    return sum(int(digit) * weight for digit, weight in zip(digits, weights, strict=False))


# Only where it is simple; elsewhere the form alone is looked at.
_CHECKS: dict[str, Callable[[str], bool]] = {
    "DE": _germany,
    "BE": lambda digits: 97 - int(digits[:8]) % 97 == int(digits[8:]),
    "DK": lambda digits: _weighted(digits, (2, 7, 6, 5, 4, 3, 2, 1)) % 11 == 0,
    "FI": lambda digits: (11 - _weighted(digits, (7, 9, 10, 5, 8, 4, 2)) % 11) % 11 == int(digits[7]),
    "LU": lambda digits: int(digits[:6]) % 89 == int(digits[6:]),
}


def parse_vat_number(typed: object, country: str) -> str:
    """A VAT number of that country in one spelling, with its prefix: 'de 136 695 976' is 'DE136695976'; '' for none.

    Raises ValueError with a sentence for the person.
    """
    text = unicodedata.normalize("NFKC", typed[:60]).upper() if isinstance(typed, str) else ""
    number = _SIGNS.sub("", text)
    if not number:
        return ""
    prefix, pattern = PREFIXES.get(country, country), PATTERNS.get(country)
    if pattern is None:
        if not _OTHER.fullmatch(number):
            raise ValueError(_("A VAT number has 4 to 20 letters and digits."))
        return number
    rest = number.removeprefix(prefix)
    if not re.fullmatch(pattern, rest, re.ASCII):
        if country in EXAMPLES:
            such = EXAMPLES[country]
            raise ValueError(_("That does not look like a VAT number of this country, such as %(such)s.", such=such))
        raise ValueError(
            _("That does not look like a VAT number of this country: it begins with %(prefix)s.", prefix=prefix)
        )
    if (check := _CHECKS.get(country)) is not None and not check(rest):
        raise ValueError(_("That is no VAT number: its last digits do not fit the others. Please look for a slip."))
    return prefix + rest
