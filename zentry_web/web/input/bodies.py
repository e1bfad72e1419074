"""What is sent as a form, with a bound on how many fields it has: reading them takes longer than receiving them."""

from io import BytesIO
from typing import IO, Any

from flask import Request
from werkzeug.exceptions import BadRequest
from werkzeug.formparser import FormDataParser

MOST_FIELDS = 2000  # the largest form ticks 500 rows


class BoundedFormParser(FormDataParser):
    """Refuses a form of more fields than any page has, before it takes them apart. Werkzeug bounds multipart itself."""

    def _parse_urlencoded(self, stream: IO[bytes], mimetype: str, content_length: int | None, options: Any) -> Any:
        sent = stream.read()
        if sent.count(b"&") >= MOST_FIELDS:
            raise BadRequest(f"A form has at most {MOST_FIELDS} fields.")
        return super()._parse_urlencoded(BytesIO(sent), mimetype, len(sent), options)


class BoundedRequest(Request):
    """Flask's request with that bound."""

    form_data_parser_class = BoundedFormParser
