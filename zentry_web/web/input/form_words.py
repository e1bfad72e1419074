"""What forms say where a field has no words of its own: WTForms' sentences are for programmers."""

from zentry_web.domain.language import find, lazy

WORDS = {
    "Not a valid integer value.": lazy("Enter a whole number."),
    "Not a valid decimal value.": lazy("Enter a number."),
    "Not a valid float value.": lazy("Enter a number."),
    "Not a valid datetime value.": lazy("Enter a date and a time."),
    "Not a valid date value.": lazy("Enter a date."),
    "Not a valid time value.": lazy("Enter a time."),
    "Not a valid week value.": lazy("Enter a week."),
    "Not a valid choice.": lazy("Choose one of those offered."),
    "Invalid Choice: could not coerce.": lazy("Choose one of those offered."),
    "Invalid choice(s): one or more data inputs could not be coerced.": lazy("Choose among those offered."),
    "'%(value)s' is not a valid choice for this field.": lazy("Choose among those offered."),
    "'%(value)s' are not valid choices for this field.": lazy("Choose among those offered."),
    "This field is required.": lazy("Fill this in."),
    "Field must be at least %(min)d character long.": lazy("Use at least %(min)d character."),
    "Field must be at least %(min)d characters long.": lazy("Use at least %(min)d characters."),
    "Field cannot be longer than %(max)d character.": lazy("Use at most %(max)d character."),
    "Field cannot be longer than %(max)d characters.": lazy("Use at most %(max)d characters."),
    "Field must be exactly %(max)d character long.": lazy("Use exactly %(max)d character."),
    "Field must be exactly %(max)d characters long.": lazy("Use exactly %(max)d characters."),
    "Field must be between %(min)d and %(max)d characters long.": lazy("Use %(min)d to %(max)d characters."),
    "Number must be at least %(min)s.": lazy("Enter %(min)s or more."),
    "Number must be at most %(max)s.": lazy("Enter %(max)s or less."),
    "Number must be between %(min)s and %(max)s.": lazy("Enter a number from %(min)s to %(max)s."),
    "Invalid value, must be one of: %(values)s.": lazy("Choose one of those offered."),
}
OTHERWISE = lazy("This does not fit here.")


class FormWords:
    """Stands where WTForms looks for translations."""

    def gettext(self, text: str) -> str:
        """Our sentence for one of WTForms'."""
        return find(WORDS.get(text, OTHERWISE))

    def ngettext(self, singular: str, plural: str, number: int) -> str:
        """The same, of one or of several."""
        return self.gettext(singular if number == 1 else plural)
