"""``/api/v1``: tokens, the account behind one, and its virtual machines; described by /api/v1/openapi.json."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Any, NoReturn

from flask import Flask, Response, jsonify
from flask_smorest import Api, Blueprint
from webargs.flaskparser import FlaskParser

from zentry_web.blueprints.api import schemas
from zentry_web.domain.language import _
from zentry_web.domain.people.token import TokenPair, TokenScope
from zentry_web.domain.user import User
from zentry_web.services.errors import ValidationError
from zentry_web.web.services import services
from zentry_web.web.session.actor import public
from zentry_web.web.session.bearer import needs, token_actor, token_user

BEARER: list[dict[str, list[str]]] = [{"bearer": []}]


class Parser(FlaskParser):
    """Reads what was sent; what is wrong with it comes out of the same table as everything else."""

    DEFAULT_VALIDATION_STATUS = HTTPStatus.BAD_REQUEST

    def load_json(self, req: Any, schema: Any) -> Any:
        """The body; one that is nested too deeply or has a number of thousands of digits is no JSON for us."""
        try:
            return super().load_json(req, schema)
        except (ValueError, RecursionError):
            self._handle_invalid_json_error()

    def handle_error(self, error: Any, *_args: Any, **_kwargs: Any) -> NoReturn:
        """A field of the wrong shape."""
        fields = {
            field: str(messages[0] if isinstance(messages, list) and messages else messages)
            for place in error.normalized_messages().values()
            for field, messages in (place.items() if isinstance(place, dict) else [("body", place)])
        }
        raise ValidationError(_("Something in this is not right."), details=fields)

    def _handle_invalid_json_error(self, *_args: Any, **_kwargs: Any) -> NoReturn:
        """Not JSON at all."""
        raise ValidationError(_("The body is not JSON."), details={"body": _("Not JSON.")})


class ApiBlueprint(Blueprint):
    """A blueprint whose arguments are read by our parser."""

    ARGUMENTS_PARSER = Parser()


class ZentryApi(Api):
    """Documents, and leaves errors to web/errors.py."""

    ERROR_SCHEMA = schemas.ProblemSchema
    DEFAULT_ERROR_RESPONSE_NAME = None

    def _register_error_handlers(self) -> None:
        """None of its own."""

    def _register_responses(self) -> None:
        """Refusals have a type of their own, which the library cannot be told otherwise."""
        self.DEFAULT_RESPONSE_CONTENT_TYPE = "application/problem+json"
        super()._register_responses()
        del self.DEFAULT_RESPONSE_CONTENT_TYPE


blueprint = ApiBlueprint("api", __name__, url_prefix="/api/v1", description="Zentry's JSON API")


def problems(*statuses: int) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Document the refusals of a view; that of its arguments (400) is documented with them."""

    def mark(view: Callable[..., Any]) -> Callable[..., Any]:
        for status in statuses:
            view = blueprint.alt_response(status, HTTPStatus(status).name)(view)
        return view

    return mark


@blueprint.post("/auth/token")
@blueprint.arguments(schemas.LoginSchema)
@blueprint.response(200, schemas.TokenPairSchema)
@problems(401, 429)
@public
def log_in(credentials: dict[str, str]) -> TokenPair:
    """Log in: an access token for 15 minutes and a refresh token for 30 days."""
    return services().auth.tokens.issue(credentials, actor=token_actor())


@blueprint.post("/auth/refresh")
@blueprint.arguments(schemas.RefreshSchema)
@blueprint.response(200, schemas.TokenPairSchema)
@problems(401)
@public
def refresh(data: dict[str, str]) -> TokenPair:
    """The next pair. A refresh token works once; a second time ends all that came from its log-in."""
    return services().auth.tokens.refresh(data["refresh_token"], actor=token_actor())


@blueprint.post("/auth/revoke")
@blueprint.arguments(schemas.RevokeSchema)
@blueprint.response(204)
@public
def revoke(data: dict[str, str]) -> None:
    """End a token, and what came with it. An unknown token is no error."""
    services().auth.tokens.revoke(data["token"], actor=token_actor())


@blueprint.get("/me")
@blueprint.doc(security=BEARER)
@blueprint.response(200, schemas.MeSchema)
@problems(401, 403)
@needs(TokenScope.ACCOUNT_READ)
def me() -> User:
    """The account behind the token."""
    return token_user()


@blueprint.get("/vms")
@blueprint.doc(security=BEARER)
@blueprint.arguments(schemas.PageSchema, location="query")
@blueprint.response(200, schemas.VMListSchema)
@problems(401, 403)
@needs(TokenScope.VMS_READ)
def vms(page: dict[str, Any]) -> dict[str, Any]:
    """The account's virtual machines, newest first."""
    user, limit = token_user(), page["limit"]
    found = services().vms.list_vms(user.id, actor=token_actor(user), before=page.get("before"), limit=limit).vms
    return {"items": found, "next": found[-1].id if len(found) == limit else None}


def init_api(app: Flask) -> None:
    """Register the API and its description."""
    app.config |= {"API_TITLE": "Zentry", "API_VERSION": "v1", "OPENAPI_VERSION": "3.1.0"}
    api = ZentryApi(app)
    api.spec.components.security_scheme("bearer", {"type": "http", "scheme": "bearer"})
    api.register_blueprint(blueprint)
    document = api.spec.to_dict()

    def openapi() -> Response:
        """What programs read to know the API."""
        return jsonify(document)

    app.add_url_rule("/api/v1/openapi.json", "api.openapi", public(openapi))
