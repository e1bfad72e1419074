"""Which passwords are too easy to guess: the most common ones, and what zxcvbn finds in a few attempts."""

from collections.abc import Callable
from functools import cache

from zentry_web.domain.language import _, lazy
from zentry_web.services.auth.passwords import normalised, parse_password

LEAST_SCORE = 3  # of 4: ten thousand million guesses and more
ASSESSED = 32  # the first characters decide: the rest makes no password weaker, and would take seconds
LONGEST_REST = 3  # letters and digits beside the owner's own words that make no password of them
MOST_SUBSTITUTES = 6  # more kinds of signs that stand for letters, and trying all their readings takes seconds
TOO_CLOSE = lazy("This is too close to your name or address, or to the name of Zentry.")
ADVICE = lazy("Try three or four words that do not belong together.")


def strong_password(*personal: str) -> Callable[[object], str]:
    """A parser of passwords that may be set; ``personal`` are the owner's name, address and the like.

    It raises ValueError with a sentence for the field.
    """

    def parse(value: object) -> str:
        password = parse_password(value)
        if why := weakness(password, personal):
            raise ValueError(why)
        return password

    return parse


def weakness(password: str, personal: tuple[str, ...] = ()) -> str:
    """Why a password is too easy to guess, in a sentence; '' when it is not."""
    plain = normalised(password)
    if plain.lower() in _common():
        return _("This is one of the most common passwords.") + f" {ADVICE}"
    words = _words(personal)
    if _is_nothing_but(words, plain):
        return f"{TOO_CLOSE} {ADVICE}"
    score, dictionaries = _assess(plain[:ASSESSED], words)
    if score >= LEAST_SCORE:
        return ""
    if "user_inputs" in dictionaries:
        return f"{TOO_CLOSE} {ADVICE}"
    return _("This would be guessed quickly.") + f" {ADVICE}"


def _words(personal: tuple[str, ...]) -> list[str]:
    """Each text, and each word in it."""
    texts = [text.lower()[:300] for text in (*personal, "zentry") if text]
    parts = ["".join(sign if sign.isalnum() else " " for sign in text).split() for text in texts]
    return [*texts, *(part for each in parts for part in each if len(part) > 2)]


def _is_nothing_but(words: list[str], password: str) -> bool:
    """Whether hardly anything is left of a password without the words that everybody tries first, however often."""
    rest = password.lower()
    for word in sorted((each for each in words if len(each) > LONGEST_REST), key=len, reverse=True):
        rest = rest.replace(word, " ")
    return rest != password.lower() and sum(sign.isalnum() for sign in rest) <= LONGEST_REST


def _assess(password: str, words: list[str]) -> tuple[int, set[str]]:
    """zxcvbn's score (0 to 4) and the lists it found words in.

    Called in parts: its own entry keeps the owner's words in a global, and takes seconds for what is made for that.
    """
    from zxcvbn import matching, scoring, time_estimates

    dictionaries = {**matching.RANKED_DICTIONARIES, "user_inputs": matching.build_ranked_dict(words)}
    matchers = [
        matching.dictionary_match,
        matching.reverse_dictionary_match,
        matching.spatial_match,
        matching.repeat_match,
        matching.sequence_match,
        matching.regex_match,
        matching.date_match,
    ]
    substitutes = {sign for signs in matching.L33T_TABLE.values() for sign in signs}
    if len(substitutes.intersection(password)) <= MOST_SUBSTITUTES:
        matchers.append(matching.l33t_match)
    found = [match for matcher in matchers for match in matcher(password, _ranked_dictionaries=dictionaries)]
    found.sort(key=lambda match: (match["i"], match["j"]))
    verdict = scoring.most_guessable_match_sequence(password, found)
    lists = {str(match.get("dictionary_name")) for match in verdict["sequence"]}
    return int(time_estimates.guesses_to_score(verdict["guesses"])), lists


@cache
def _common() -> frozenset[str]:
    from zxcvbn.frequency_lists import FREQUENCY_LISTS

    return frozenset(FREQUENCY_LISTS["passwords"])
