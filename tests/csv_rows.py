"""Reading the CSV files that pages hand out."""

import csv
import io


def csv_rows(answer):
    """The rows as dicts. Every file begins with the mark by which spreadsheets know UTF-8."""
    text = answer.text
    assert text.startswith("\ufeff"), "Excel would read it in the code page of the machine"
    return list(csv.DictReader(io.StringIO(text.removeprefix("\ufeff"))))
