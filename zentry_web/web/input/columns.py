"""Which columns a list shows and how close its rows lie, as its address says it (``columns=state,rate``,
``density=compact``). The first column is always there and not among these."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from flask import request

from zentry_web.domain.language import later, lazy, pgettext
from zentry_web.domain.vms.vm import VM
from zentry_web.web.input.paging import here, text_argument
from zentry_web.web.services import services
from zentry_web.web.session.actor import me


class Column(NamedTuple):
    """``cls``: as ``ui.table`` has it; the same stands at the cells of the column."""

    text: str
    cls: str = ""


@dataclass(frozen=True, slots=True)
class Columns:
    """``all``: in the order in which they are shown; ``usual``: those that are shown unless others are asked for."""

    all: Mapping[str, Column]
    usual: Sequence[str]

    def asked(self) -> tuple[str, ...]:
        """Those that the address asks for, in their order."""
        asked = text_argument("columns").split(",")
        return tuple(name for name in self.all if name in asked) or tuple(self.usual)

    def chosen_address(self) -> str | None:
        """Where the form of columns leads, as the address of a list says it; None when that form was not sent."""
        chosen = request.args.getlist("column")
        if not chosen:
            return None
        names = tuple(name for name in self.all if name in chosen)
        return here(columns=None if names in ((), tuple(self.usual)) else ",".join(names), column=None)

    def shown(self, heads: Mapping[str, Mapping[str, str]] | None = None) -> dict[str, Any]:
        """For the table: ``columns``, their ``heads`` for ``ui.table`` (``heads``: how they are sorted), ``compact``;
        for ``lists.columns`` also ``all``, by name."""
        asked, sorts = self.asked(), heads or {}
        return {
            "all": {name: column.text for name, column in self.all.items()},
            "columns": asked,
            "heads": [self.all[name]._asdict() | dict(sorts.get(name, {})) for name in asked],
            "compact": text_argument("density") == "compact",
        }


def stays(*names: str) -> dict[str, str]:
    """Of the address what stays while somebody searches: columns and density, and those of ``names``."""
    return {name: text_argument(name) for name in (*names, "columns", "density")}


_OF_MACHINES = {
    "size": Column(lazy("Size")),
    "image": Column(lazy("Image"), "wide"),
    "address": Column(lazy("Address"), "wide"),
    "cpu": Column(lazy("Processor"), "num"),
    "memory": Column(lazy("Memory"), "num"),
    "rate": Column(lazy("Per hour"), "num"),
    "month": Column(lazy("This month"), "num"),
    "created": Column(lazy("Created"), "roomy"),
}
_STATE, _OWNER, _PROJECT = Column(lazy("State")), Column(lazy("Owner")), Column(lazy("Project"), "wide")
_MONTH, _CREATED = _OF_MACHINES["month"], _OF_MACHINES["created"]
MACHINES = Columns({"state": _STATE, **_OF_MACHINES}, ("state", "size", "address", "rate", "created"))
ALL_MACHINES = Columns(
    {"state": _STATE, "owner": _OWNER, "project": _PROJECT, **_OF_MACHINES},
    ("state", "owner", "project", "size", "rate", "created"),
)
PROJECTS = Columns(
    {
        "machines": Column(lazy("Machines")),
        "owner": Column(lazy("Owner"), "wide"),
        "rate": Column(lazy("Per hour"), "num"),
        "month": _MONTH,
        "created": _CREATED,
    },
    ("machines", "rate", "month", "created"),
)
ALL_PROJECTS = Columns(
    {
        "state": _STATE,
        "owner": _OWNER,
        "machines": Column(lazy("Machines"), "num"),
        "members": Column(lazy("Members"), "num wide"),
        "month": _MONTH,
        "created": _CREATED,
    },
    ("state", "owner", "machines", "members", "month", "created"),
)
PEOPLE = Columns(
    {
        "role": Column(lazy("Role")),
        "credits": Column(lazy("Can use"), "num"),
        "held": Column(lazy("Set aside"), "num wide"),
        "machines": Column(lazy("Machines"), "num"),
        "factor": Column(lazy("Second factor"), "wide"),
        "seen": Column(lazy("Last seen")),
        "created": Column(lazy("Since"), "roomy"),
    },
    ("role", "credits", "held", "machines", "seen", "created"),
)
TRANSACTIONS = Columns(
    {
        "what": Column(lazy("What")),
        "machine": Column(lazy("Machine")),
        "details": Column(lazy("Details")),
        "amount": Column(lazy("Amount"), "num"),
        "balance": Column(lazy("Balance after"), "num wide"),
    },
    ("what", "details", "amount", "balance"),
)
CHARGES = Columns(
    {
        "from": Column(lazy("From")),
        "to": Column(lazy("To")),
        "seconds": Column(lazy("Seconds"), "num"),
        "price": Column(lazy("Price per hour"), "num"),
        "credits": Column(lazy("Credits"), "num"),
    },
    ("from", "to", "seconds", "price", "credits"),
)
LEDGER = Columns(
    {
        "what": Column(lazy("What")),
        "amount": Column(lazy("Credits"), "num"),
        "person": Column(later(lambda: pgettext("a column", "Person"))),
        "who": Column(lazy("Who"), "wide"),
        "reason": Column(lazy("Reason"), "wide"),
    },
    ("what", "amount", "person", "who", "reason"),
)
AUDIT = Columns(
    {
        "what": Column(lazy("What")),
        "outcome": Column(lazy("Outcome")),
        "who": Column(lazy("Who")),
        "address": Column(lazy("From"), "wide"),
    },
    ("what", "outcome", "who", "address"),
)
BIN = Columns(
    {
        "project": Column(lazy("Project"), "wide"),
        "size": Column(lazy("Size"), "wide"),
        "deleted": Column(lazy("Deleted")),
        "until": Column(lazy("Kept until")),
    },
    ("project", "deleted", "until"),
)


def machines_shown(
    vms: Sequence[VM], columns: Columns = MACHINES, *, heads: Mapping[str, Mapping[str, str]] | None = None
) -> dict[str, Any]:
    """``Columns.shown`` of a list of machines: with their newest samples and what they cost this month, where a column
    shows it. A statement each."""
    found = columns.shown(heads)
    if {"cpu", "memory"} & set(found["columns"]):
        found["samples"] = services().monitoring.get_latest([vm.id for vm in vms])
    if "month" in found["columns"]:
        found["months"] = services().billing.reports.month_of_vms(vms, me().time_zone)
    return found
