"""Answers that are files to be saved."""

from flask import Response


def csv_answer(text: str, name: str) -> Response:
    """A CSV file to be saved under that name."""
    headers = {"Content-Disposition": f'attachment; filename="{name}.csv"'}
    return Response(text, mimetype="text/csv; charset=utf-8", headers=headers)
