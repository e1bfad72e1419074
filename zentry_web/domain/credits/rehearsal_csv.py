"""A rehearsal as CSV: an owner a row, amounts in micro-credits."""

from zentry_web.domain.credits.bill_csv import csv_text, iso
from zentry_web.domain.credits.prices import Rehearsal

COLUMNS = (
    "owner_id", "email", "name", "from", "to", "old_micro", "new_micro", "difference_micro", "difference_permille",
    "credits_micro", "burn_before_micro_per_hour", "burn_after_micro_per_hour", "runs_out_before", "runs_out_after",
    "runs_dry",
)  # fmt: skip


def rehearsal_csv(rehearsal: Rehearsal) -> str:
    """All owners, the biggest increase first; safe to open in a spreadsheet."""
    rows = (
        (
            owner.owner_id, owner.email, owner.name, iso(rehearsal.start), iso(rehearsal.end), owner.old_micro,
            owner.new_micro, owner.difference_micro, "" if owner.permille is None else owner.permille,
            owner.credits_micro, owner.burn_before, owner.burn_after, iso(owner.runs_out_before),
            iso(owner.runs_out_after), "yes" if owner.runs_dry else "no",
        )
        for owner in rehearsal.owners
    )  # fmt: skip
    return csv_text(COLUMNS, rows)
