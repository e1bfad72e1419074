"""The shapes of the JSON API, as its OpenAPI document shows them."""

from collections.abc import Mapping
from typing import Any

from marshmallow import RAISE, Schema, fields, validate

LONGEST_ID = 40


class Text(fields.String):
    """Text that can be written as UTF-8: JSON also spells halves of characters, which no page could send."""

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> Any:
        text = super()._deserialize(value, attr, data, **kwargs)
        try:
            str(text).encode()
        except UnicodeEncodeError:
            raise self.make_error("invalid_utf8") from None
        return text


class Strict(Schema):
    """What comes in: a field that is not known is refused."""

    class Meta:
        unknown = RAISE


class LoginSchema(Strict):
    email = Text(required=True, validate=validate.Length(min=1, max=254))
    password = Text(required=True, validate=validate.Length(min=1, max=256), load_only=True)
    code = Text(
        validate=validate.Length(max=60),
        load_only=True,
        metadata={"description": "of an authenticator app or for recovery, where the account has a second factor"},
    )


class RefreshSchema(Strict):
    refresh_token = Text(required=True, validate=validate.Length(min=1, max=200))


class RevokeSchema(Strict):
    token = Text(required=True, validate=validate.Length(min=1, max=200))


class PageSchema(Strict):
    before = fields.String(
        validate=validate.Regexp(r"^vm_[0-9a-z]{1,37}\Z"), metadata={"description": "the last id of the page before"}
    )
    limit = fields.Integer(load_default=50, validate=validate.Range(min=1, max=100))


class TokenPairSchema(Schema):
    access_token = fields.String(required=True)
    token_type = fields.Constant("Bearer", required=True)
    expires_in = fields.Integer(required=True, metadata={"description": "seconds"})
    refresh_token = fields.String(required=True)
    refresh_expires_in = fields.Integer(required=True, metadata={"description": "seconds"})


class MeSchema(Schema):
    id = fields.String(required=True)
    email = fields.String(required=True)
    name = fields.String(required=True)
    role = fields.String(required=True, validate=validate.OneOf(["user", "admin"]))
    time_zone = fields.String(required=True)
    created_at = fields.AwareDateTime(required=True)


class VMSchema(Schema):
    id = fields.String(required=True)
    name = fields.String(required=True)
    project_id = fields.String(required=True)
    project_name = fields.String(required=True)
    state = fields.String(required=True)
    state_reason = fields.String(
        required=True,
        metadata={
            "description": "why it is off, paused, sleeping or in error, or that it gives no sign of life; "
            "empty when it is as asked"
        },
    )
    size_id = fields.String(required=True)
    image_name = fields.String(required=True)
    vcpus = fields.Integer(required=True)
    memory_mib = fields.Integer(required=True)
    disk_gib = fields.Integer(required=True)
    address = fields.String(required=True, metadata={"description": "empty until it has one"})
    micro_credits_per_hour = fields.Integer(
        required=True,
        attribute="rate_micro_per_hour",
        metadata={"description": "what it costs now; 1 000 000 are a credit"},
    )
    labels = fields.Dict(
        keys=fields.String(),
        values=fields.String(),
        required=True,
        attribute="label_map",
        metadata={"description": "key to value; a plain word has an empty one"},
    )
    created_at = fields.AwareDateTime(required=True)


class VMListSchema(Schema):
    items = fields.List(fields.Nested(VMSchema), required=True)
    next = fields.String(required=True, allow_none=True, metadata={"description": "give it as 'before'; null: no more"})


class ProblemSchema(Schema):
    """RFC 9457."""

    type = fields.String(required=True)
    title = fields.String(required=True)
    status = fields.Integer(required=True)
    detail = fields.String(required=True)
    code = fields.String(required=True)
    request_id = fields.String(required=True)
    details = fields.Dict(required=True)
