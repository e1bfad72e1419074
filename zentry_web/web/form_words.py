"""What forms say where a field has no words of its own: WTForms' sentences are for programmers."""

WORDS = {
    "Not a valid integer value.": "Enter a whole number.",
    "Not a valid decimal value.": "Enter a number.",
    "Not a valid float value.": "Enter a number.",
    "Not a valid datetime value.": "Enter a date and a time.",
    "Not a valid date value.": "Enter a date.",
    "Not a valid time value.": "Enter a time.",
    "Not a valid week value.": "Enter a week.",
    "Not a valid choice.": "Choose one of those offered.",
    "Invalid Choice: could not coerce.": "Choose one of those offered.",
    "Invalid choice(s): one or more data inputs could not be coerced.": "Choose among those offered.",
    "'%(value)s' is not a valid choice for this field.": "Choose among those offered.",
    "'%(value)s' are not valid choices for this field.": "Choose among those offered.",
    "This field is required.": "Fill this in.",
    "Field must be at least %(min)d character long.": "Use at least %(min)d character.",
    "Field must be at least %(min)d characters long.": "Use at least %(min)d characters.",
    "Field cannot be longer than %(max)d character.": "Use at most %(max)d character.",
    "Field cannot be longer than %(max)d characters.": "Use at most %(max)d characters.",
    "Field must be exactly %(max)d character long.": "Use exactly %(max)d character.",
    "Field must be exactly %(max)d characters long.": "Use exactly %(max)d characters.",
    "Field must be between %(min)d and %(max)d characters long.": "Use %(min)d to %(max)d characters.",
    "Number must be at least %(min)s.": "Enter %(min)s or more.",
    "Number must be at most %(max)s.": "Enter %(max)s or less.",
    "Number must be between %(min)s and %(max)s.": "Enter a number from %(min)s to %(max)s.",
    "Invalid value, must be one of: %(values)s.": "Choose one of those offered.",
}
OTHERWISE = "This does not fit here."


class FormWords:
    """Stands where WTForms looks for translations."""

    def gettext(self, text: str) -> str:
        """Our sentence for one of WTForms'."""
        return WORDS.get(text, OTHERWISE)

    def ngettext(self, singular: str, plural: str, number: int) -> str:
        """The same, of one or of several."""
        return self.gettext(singular if number == 1 else plural)
