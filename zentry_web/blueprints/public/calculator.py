"""The calculator of the landing page: from what is chosen to what it costs."""

from collections.abc import Sequence
from typing import Any

from flask import request

from zentry_web.domain.credits.calculator import HOURS_OF_A_DAY, MOST_MACHINES, calculated
from zentry_web.domain.text import whole_number
from zentry_web.domain.vms.catalogue import Image, Size
from zentry_web.domain.vms.vm import Rates
from zentry_web.web.services import services


def calculator_context(sizes: Sequence[Size], images: Sequence[Image]) -> dict[str, Any]:
    """What the part shows: the fields as chosen in the address, else as most begin, and what that costs."""
    if not sizes:
        return {"chosen": None}
    size = next((each for each in sizes if each.id == request.args.get("size")), sizes[min(1, len(sizes) - 1)])
    image = next((each for each in images if each.id == request.args.get("image")), images[0] if images else None)
    machines, hours = _number("machines", 1, MOST_MACHINES), _number("hours", HOURS_OF_A_DAY, HOURS_OF_A_DAY)
    surcharge = image.surcharge_micro_per_hour if image else 0
    rates = Rates(size.running_micro_per_hour + surcharge, size.stopped_micro_per_hour)
    payments = services().billing.payments
    return {
        "chosen": {"size": size, "image": image, "machines": machines, "hours": hours},
        "costs": calculated(rates, machines, hours, payments.price),
        "price": payments.price if payments.is_set_up else None,
        "most_machines": MOST_MACHINES,
    }


def _number(name: str, default: int, most: int) -> int:
    """A number of the address between 1 and ``most``."""
    number = whole_number(request.args.get(name, ""))
    return default if number is None else min(max(number, 1), most)
