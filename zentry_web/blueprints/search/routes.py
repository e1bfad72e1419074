"""The command palette's address: a page of its own, or for htmx what fits the letters. And which keys there are."""

from dataclasses import replace

from flask import Blueprint, render_template
from flask.typing import ResponseReturnValue

from zentry_web.blueprints.search.results import groups_of, recent_groups
from zentry_web.blueprints.search.verbs import acted_on
from zentry_web.domain.credits.billing import TransferKind
from zentry_web.domain.language import _
from zentry_web.domain.list_keys import ALL_PROJECTS, AUDIT, BIN, CHARGES, LEDGER, PEOPLE, PROJECTS, TRANSACTIONS, Keys
from zentry_web.domain.search import words_of
from zentry_web.services.errors import NotFoundError
from zentry_web.web.input.paging import text_argument
from zentry_web.web.input.search import offers_of
from zentry_web.web.output.filters import transaction_kind
from zentry_web.web.services import services
from zentry_web.web.session.actor import current_actor

blueprint = Blueprint("search", __name__)

LISTS: dict[str, Keys] = {"projects": PROJECTS, "transactions": TRANSACTIONS, "charges": CHARGES, "bin": BIN}
ADMIN_LISTS: dict[str, Keys] = {"people": PEOPLE, "all_projects": ALL_PROJECTS, "ledger": LEDGER, "audit": AUDIT}


@blueprint.get("/keys")
def keys() -> ResponseReturnValue:
    """Which keys do what."""
    return render_template("search/keys.html")


@blueprint.get("/search")
def find() -> ResponseReturnValue:
    """What fits ``q`` among what the person may see; with nothing typed, what they worked with lately."""
    typed, actor = text_argument("q")[:200], current_actor()
    words = words_of(typed)
    found = services().users.search.find(words, acted_on=acted_on(words), actor=actor)
    groups = groups_of(words, found, is_admin=actor.is_admin) if words else recent_groups(found)
    return render_template("search/find.html", typed=typed, groups=groups)


@blueprint.get("/search/complete/<list_name>")
def complete(list_name: str) -> ResponseReturnValue:
    """What can complete the search box of a list."""
    lists = LISTS | (ADMIN_LISTS if current_actor().is_admin else {})
    if list_name not in lists:
        raise NotFoundError(_("There is no such list."))
    keys = lists[list_name]
    if list_name == "audit":
        keys = {**keys, "action": replace(keys["action"], values=_actions())}
    return render_template("shared/_offers.html", offers=offers_of(keys, _note))


def _actions() -> list[str]:
    """Those that the audit trail has, after their groups."""
    there = services().users.trail.list_actions(actor=current_actor())
    return [*dict.fromkeys(f"{action.partition('.')[0]}." for action in there), *there]


def _note(value: str) -> str:
    """What a value is called on pages, where it does not say so itself."""
    return transaction_kind(TransferKind(value)) if value in list(TransferKind) else ""
