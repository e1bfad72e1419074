"""What can be searched for in lists of machines."""

import unicodedata
from collections.abc import Mapping
from types import MappingProxyType

from zentry_web.domain.language import _, lazy
from zentry_web.domain.money import parse_credits
from zentry_web.domain.query_language import ValueCheck, any_text, compared, one_of
from zentry_web.domain.vms.state import VMState

SEARCHED_STATES = {state.value: state.value for state in VMState if state not in (VMState.DELETED, VMState.BINNED)}


def cost_of(value: str) -> tuple[str, int]:
    """A comparison of what a machine costs per hour now: ``>0.1`` as ``('>', 100_000)``. Raises ValueError."""
    sign, amount = compared(value)
    try:
        return sign, parse_credits(amount)
    except ValueError:
        raise ValueError(
            _("“%(value)s” is no price per hour. Write one such as cost:>0.1 or cost:0.005.", value=value[:40])
        ) from None


def a_label(value: str) -> str:
    """A check for labels: ``key=value``, or a key alone."""
    if not unicodedata.normalize("NFKC", value).partition("=")[0].strip():
        raise ValueError(_("Write a label as label:key=value, or its key alone."))
    return value


def _cost(value: str) -> str:
    cost_of(value)
    return value


# In the order in which they are offered.
KEYS: Mapping[str, ValueCheck] = MappingProxyType(
    {
        "state": one_of(SEARCHED_STATES, "state"),
        "label": a_label,
        "project": any_text,
        "size": any_text,
        "image": any_text,
        "name": any_text,
        "address": any_text,
        "cost": _cost,
        "owner": any_text,
    }
)
# Where a machine's own changes may decide that it is shown; its name, project, image and owner are not among them.
MOVING = frozenset({"", "state", "label", "size", "address", "cost"})

HINTS: Mapping[str, str] = MappingProxyType(
    {
        "state": "running, stopped, error …",
        "label": lazy("env=prod, or a key alone"),
        "project": lazy("its name or a part of it"),
        "size": lazy("its name"),
        "image": lazy("its name or a part of it"),
        "name": lazy("a part of it"),
        "address": lazy("the beginning of it"),
        "cost": lazy("per hour now: >0.1, <0.01"),
        "owner": lazy("an e-mail address or a part of it"),
    }
)
