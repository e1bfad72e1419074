"""The baseline: a plain Flask page with a table of 50 rows out of memory, and a form that only redirects."""

from flask import Flask, Response, redirect, render_template_string, request

ROWS = [
    {
        "id": f"vm_{number:026d}",
        "name": f"web-{number}",
        "state": "running",
        "size": "micro",
        "address": f"10.77.0.{number}",
        "rate": "0.015",
        "created": "2026-11-23T10:00:00Z",
    }
    for number in range(50)
]
PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Plain</title></head><body>
<table><thead><tr><th>Name</th><th>State</th><th>Size</th><th>Address</th><th>Per hour</th><th>Created</th></tr></thead>
<tbody>
{% for row in rows %}<tr id="row-{{ row.id }}"><td><a href="/vms/{{ row.id }}">{{ row.name }}</a></td>
<td>{{ row.state }}</td><td>{{ row.size }}</td><td>{{ row.address }}</td><td>{{ row.rate }}</td>
<td>{{ row.created }}</td></tr>
{% endfor %}</tbody></table></body></html>"""

app = Flask(__name__)


@app.get("/")
def table() -> str:
    """The page."""
    return render_template_string(PAGE, rows=ROWS)


@app.post("/")
def order() -> Response:
    """Read a form and redirect."""
    return redirect(f"/?name={request.form.get('name', '')}", 303)  # type: ignore[return-value]
