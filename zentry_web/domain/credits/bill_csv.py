"""Bills as CSV: a row per charge with all its inputs, so that anybody can work them out again (docs/recompute.py)."""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime

from zentry_web.domain.credits.bills import BillCharge

COLUMNS = (
    "record", "kind", "vm_id", "vm", "project", "size", "state", "from", "to", "seconds", "price_version",
    "size_micro_per_hour", "image", "image_price_version", "surcharge_micro_per_hour", "rate_micro_per_hour",
    "amount_micro", "interval_id", "interval_from", "interval_to", "opened_by", "closed_by", "transfer_id", "text",
)  # fmt: skip
_LINES_AT_ONCE = 500
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\0", "＝", "＋", "－", "＠")  # the last: wide ones, the same to some


def safe_cell(value: object) -> object:
    """Text that a spreadsheet would take for a formula gets an apostrophe before it; numbers stay numbers."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def csv_lines(header: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterator[str]:
    """``csv_text`` in pieces, for files too large to hold in memory."""
    lines: list[Sequence[object]] = [header]
    for row in rows:
        lines.append([safe_cell(cell) for cell in row])
        if len(lines) >= _LINES_AT_ONCE:
            yield _written(lines)
            lines = []
    yield _written(lines)


def _written(lines: Iterable[Sequence[object]]) -> str:
    out = io.StringIO()
    csv.writer(out).writerows(lines)
    return out.getvalue()


def csv_text(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Rows as CSV (RFC 4180 line ends) with every cell safe to open in a spreadsheet."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(header)
    writer.writerows([safe_cell(cell) for cell in row] for row in rows)
    return out.getvalue()


def iso(moment: datetime | None) -> str:
    """``2026-11-23T14:03:07Z``; '' for none."""
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}" if moment else ""


def bill_csv(
    charges: Iterable[BillCharge],
    *,
    until: datetime,
    before: Iterable[dict[str, object]] = (),
    after: Iterable[dict[str, object]] = (),
    names: Mapping[tuple[str, str], tuple[str, str]] | None = None,
) -> str:
    """Charges between other records (openings, top-ups, totals). Intervals are cut at ``until``: what came later
    does not change a bill. ``names``: VM's and project's name by their ids as they were, else as they are."""
    records = [*before, *charge_records(charges, until, names or {}), *after]
    return csv_text(COLUMNS, ([record.get(column, "") for column in COLUMNS] for record in records))


def charge_records(
    charges: Iterable[BillCharge], until: datetime, names: Mapping[tuple[str, str], tuple[str, str]]
) -> Iterator[dict[str, object]]:
    """One record per charge, with everything it is worked out from."""
    for charge in charges:
        of, line = charge.of, charge.line
        interval = of.interval
        ended = interval.end is not None and interval.end <= until
        now = (of.vm_name, of.project_name)
        old = names.get((interval.vm_id, ""), now)  # of a statement closed before machines had a line per project
        vm_name, project_name = names.get((interval.vm_id, interval.project_id), old)
        yield {
            "record": "charge",
            "kind": str(line.kind),
            "vm_id": interval.vm_id,
            "vm": vm_name,
            "project": project_name,
            "size": of.size_name,
            "state": str(interval.state),
            "from": iso(line.start),
            "to": iso(line.end),
            "seconds": line.seconds,
            "price_version": of.price_version,
            "size_micro_per_hour": of.size_micro_per_hour,
            "image": of.image_name if of.image_price_version is not None else "",
            "image_price_version": of.image_price_version if of.image_price_version is not None else "",
            "surcharge_micro_per_hour": of.surcharge_micro_per_hour,
            "rate_micro_per_hour": interval.rate_micro_per_hour,
            "amount_micro": line.amount,
            "interval_id": interval.id,
            "interval_from": iso(interval.start),
            "interval_to": iso(interval.end) if ended else "",
            "opened_by": of.opened_by,
            "closed_by": of.closed_by if ended and of.closed_by else "",
            "transfer_id": charge.transfer_id,
        }


def total_record(charges: Iterable[BillCharge]) -> dict[str, object]:
    """The record that says what the charges add up to."""
    return {"record": "total", "amount_micro": sum(charge.line.amount for charge in charges)}
