"""Which language a request is answered in, and the words of templates (Jinja's i18n extension, newstyle)."""

from typing import Any

from flask import Flask, current_app, request
from jinja2 import pass_eval_context
from jinja2.ext import InternationalizationExtension
from jinja2.nodes import EvalContext
from markupsafe import Markup

from zentry_web.domain.language import (
    ENGLISH,
    fill,
    find,
    find_meant,
    find_plural,
    language,
    languages,
    lazy,
    script_words,
    speak,
)
from zentry_web.web.output.htmx import is_for_programs
from zentry_web.web.session.actor import signed_in_user


def _shown(context: EvalContext, text: str, values: dict[str, Any]) -> str:
    return fill(Markup(text) if context.autoescape else text, values)  # noqa: S704 (a text of the code or a catalogue)


@pass_eval_context
def _gettext(context: EvalContext, text: str, /, **values: Any) -> str:
    return _shown(context, find(text), values)


@pass_eval_context
def _ngettext(context: EvalContext, one: str, many: str, count: int, /, **values: Any) -> str:
    values.setdefault("num", count)
    return _shown(context, find_plural(one, many, count), values)


@pass_eval_context
def _pgettext(context: EvalContext, meaning: str, text: str, /, **values: Any) -> str:
    return _shown(context, find_meant(meaning, text), values)


def init_texts(app: Flask) -> None:
    """Give templates ``_``, ``ngettext``, ``pgettext``, ``lazy`` and ``{% trans %}`` (trimmed); macros too.

    What a file of macros sets outside of them is made once for all requests: there it is ``lazy``.
    """
    env = app.jinja_env
    env.add_extension(InternationalizationExtension)
    env.policies["ext.i18n.trimmed"] = True
    env.newstyle_gettext = True  # type: ignore[attr-defined]  # the extension's
    env.globals.update({"_": _gettext, "gettext": _gettext, "ngettext": _ngettext, "pgettext": _pgettext, "lazy": lazy})
    env.globals["script_words"] = lambda: script_words(language())


def browser_language() -> str:
    """What was chosen in this browser, or what it asks for, of the languages there are; English otherwise, and always
    for programs."""
    if is_for_programs():
        return ENGLISH
    chosen = request.cookies.get(current_app.config["LANGUAGE_COOKIE_NAME"])
    if chosen in languages():
        return chosen
    if not request.accept_languages:
        return ENGLISH
    return request.accept_languages.best_match(languages(), ENGLISH)


def begin_request() -> None:
    """Before anything else of a request: an error page, too, is in the browser's language."""
    speak(browser_language())


def follow_account() -> None:
    """Before a request, once it is known whose: the language that this account has chosen, if it has."""
    if request.endpoint == "static" or is_for_programs():
        return
    user = signed_in_user()
    if user is not None and user.account.language:
        speak(user.account.language)


def init_language(app: Flask) -> None:
    """Answer requests in the language that they ask for. Comes before what may refuse them."""
    app.before_request(begin_request)
    app.teardown_request(lambda _: speak(ENGLISH))
