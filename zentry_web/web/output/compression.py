"""Pages and JSON travel compressed. What is secret in them must not be guessed from their length (BREACH): see
docs/protection.md; tokens of forms are masked anew for each answer (form_tokens.py)."""

import gzip

from flask import Flask, Response, request

TYPES = frozenset({"text/html", "application/json", "application/problem+json"})
LEAST_BYTES = 1024  # what fits into one packet anyway
LEVEL = 5


def init_compression(app: Flask) -> None:
    """Compress answers for browsers that take gzip. Called first: what is registered first runs last on the way out."""

    @app.after_request
    def compress(response: Response) -> Response:
        if response.mimetype not in TYPES or response.is_streamed or "Content-Encoding" in response.headers:
            return response
        response.vary.add("Accept-Encoding")
        body = response.get_data()
        if len(body) < LEAST_BYTES or not request.accept_encodings["gzip"]:
            return response
        response.set_data(gzip.compress(body, LEVEL, mtime=0))
        response.headers["Content-Encoding"] = "gzip"
        return response
