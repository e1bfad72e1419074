"""Answers that are files to be saved."""

from collections.abc import Iterable, Sequence
from itertools import chain

from flask import Response

from zentry_web.domain.credits.bill_csv import csv_lines

BOM = "\ufeff"  # without it a double click in Excel reads UTF-8 as the machine's old code page


def csv_answer(text: str, name: str) -> Response:
    """A CSV file to be saved under that name."""
    headers = {"Content-Disposition": f'attachment; filename="{name}.csv"'}
    return Response(BOM + text, mimetype="text/csv", headers=headers)


def csv_file(name: str, header: Sequence[str], rows: Iterable[Sequence[object]]) -> Response:
    """Rows as ``name.csv``, sent while they are read; every cell is safe to open in a spreadsheet."""
    headers = {"Content-Disposition": f'attachment; filename="{name}.csv"'}
    return Response(chain([BOM], csv_lines(header, rows)), mimetype="text/csv", headers=headers)
