"""Answers that are files to be saved."""

from collections.abc import Iterable, Sequence

from flask import Response

from zentry_web.domain.bill_csv import csv_lines


def csv_answer(text: str, name: str) -> Response:
    """A CSV file to be saved under that name."""
    headers = {"Content-Disposition": f'attachment; filename="{name}.csv"'}
    return Response(text, mimetype="text/csv", headers=headers)


def csv_file(name: str, header: Sequence[str], rows: Iterable[Sequence[object]]) -> Response:
    """Rows as ``name.csv``, sent while they are read; every cell is safe to open in a spreadsheet."""
    headers = {"Content-Disposition": f'attachment; filename="{name}.csv"'}
    return Response(csv_lines(header, rows), mimetype="text/csv", headers=headers)
