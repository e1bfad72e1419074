"""How long to wait before something is tried again."""

from datetime import timedelta


def back_off(attempts: int, first: timedelta, longest: timedelta) -> timedelta:
    """``first`` after one attempt that failed, twice as long after each other, up to ``longest``."""
    wait: timedelta = first * 2 ** min(attempts - 1, 10)
    return min(wait, longest)
