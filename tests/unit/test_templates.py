"""Every template compiles, asks for nothing the Content-Security-Policy forbids, and names icons that exist."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from flask import Flask
from jinja2 import StrictUndefined, nodes
from wtforms import Form, StringField, ValidationError

from zentry_web.domain.credits.billing import Balance
from zentry_web.domain.vms.state import VMState
from zentry_web.domain.vms.steps import Step
from zentry_web.web import assets, language
from zentry_web.web.output import charts, filters
from zentry_web.web.output.activity import ACTIONS

pytestmark = pytest.mark.unit
ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "zentry_web" / "templates"
NAMES = sorted(str(path.relative_to(FOLDER)) for path in FOLDER.rglob("*.html"))
ICONS = set((ROOT / "scripts" / "vendor-icons.txt").read_text().split())
COMMENT = re.compile(r"\{#.*?#\}", re.S)
FORBIDDEN = {
    "an inline script": re.compile(r"<script(?![^>]*(\ssrc=|type=\"application/json\"))[^>]*>"),
    "an inline style": re.compile(r"<style|\sstyle\s*="),
    "an event attribute": re.compile(r"\son[a-z]+\s*=|\shx-on[:-]"),
    "a script URL": re.compile(r"javascript:|hx-(vals|headers)\s*=\s*[\"']\s*js:"),
    "a trigger filter": re.compile(r"hx[-_]trigger\s*=\s*[\"'][^\"']*\["),
    "a file from elsewhere": re.compile(r"(src|href)\s*=\s*[\"']https?://"),
}


@pytest.fixture(scope="module")
def app() -> Flask:
    """Templates with their filters and globals, and nothing of the application."""
    bare = Flask("zentry_web", root_path=str(ROOT / "zentry_web"))
    bare.jinja_env.undefined = StrictUndefined
    assets.init_assets(bare)
    filters.init_filters(bare)
    charts.init_charts(bare)
    language.init_texts(bare)
    bare.jinja_env.globals["csrf_token"] = lambda: "token"
    return bare


def test_no_line_of_a_template_is_over_160_characters() -> None:
    """djlint has no rule for it."""
    seen, long = 0, []
    for path in FOLDER.rglob("*.html"):
        seen += 1
        lines = enumerate(path.read_text().split("\n"), 1)
        long += [f"{path.relative_to(FOLDER)}:{number}" for number, line in lines if len(line) > 160]
    assert long == []
    assert seen == len(NAMES) > 150


def test_no_route_chooses_between_a_page_and_its_part() -> None:
    """layouts/page_or_part.html does."""
    modules = list((ROOT / "zentry_web" / "blueprints").rglob("*.py"))
    assert [path.name for path in modules if re.search(r"html\" if (not )?is_htmx\(\)", path.read_text())] == []
    assert len(modules) > 60


def source(name: str) -> str:
    return COMMENT.sub("", (FOLDER / name).read_text())


def draw(app: Flask, text: str, **values: object) -> str:
    with app.test_request_context():
        made = app.jinja_env.from_string("{% import 'components/ui.html' as ui %}" + text)
        return made.render(**values)


@pytest.mark.parametrize("name", NAMES)
def test_a_template_compiles(app: Flask, name: str) -> None:
    app.jinja_env.compile((FOLDER / name).read_text(), name)


def test_what_macros_share_is_in_no_language(app: Flask) -> None:
    """A template that is imported is run once: what it sets outside of its macros has ``lazy`` texts."""
    trees = {name: app.jinja_env.parse((FOLDER / name).read_text()) for name in NAMES}
    imported = {
        each.template.value
        for tree in trees.values()
        for each in tree.find_all((nodes.Import, nodes.FromImport))
        if isinstance(each.template, nodes.Const)
    }
    fixed = [
        f"{name}:{call.lineno}"
        for name in imported
        for assigned in trees[name].body
        if isinstance(assigned, nodes.Assign)
        for call in assigned.find_all(nodes.Call)
        if isinstance(call.node, nodes.Name) and call.node.name in ("_", "ngettext", "pgettext")
    ]
    assert fixed == []
    assert len(imported) > 20


@pytest.mark.asvs("1.2.2", "3.4.3")
@pytest.mark.parametrize("name", NAMES)
def test_a_template_keeps_the_content_security_policy(name: str) -> None:
    found = [what for what, pattern in FORBIDDEN.items() if pattern.search(source(name))]
    assert found == []


def test_every_icon_is_in_the_sprite() -> None:
    named = {name for name, _ in ACTIONS.values()}
    for template in NAMES:
        named |= set(re.findall(r"\bicon(?:=|\()'([a-z0-9-]+)'", source(template)))
    assert named - ICONS == set()
    sprite = (ROOT / "zentry_web" / "static" / "img" / "icons.svg").read_text()
    assert set(re.findall(r'<symbol id="([^"]+)"', sprite)) == ICONS


@pytest.mark.parametrize("state", list(VMState))
def test_every_state_has_a_pill_of_its_own_words(app: Flask, state: VMState) -> None:
    words = {VMState.PASSWORD: "New password"}.get(state, state.value.capitalize())
    assert words in draw(app, "{{ ui.vm_state(state) }}", state=state)


def test_an_unforeseen_state_is_called_unknown(app: Flask) -> None:
    assert "Unknown" in draw(app, "{{ ui.vm_state('melting') }}")


@pytest.mark.asvs("1.1.2")
def test_a_field_shows_its_error_beside_itself_and_escapes_what_was_typed(app: Flask) -> None:
    def refuse(_form: Form, _field: StringField) -> None:
        raise ValidationError("Use <letters> only.")

    class NameForm(Form):
        name = StringField("Name", [refuse])

    form = NameForm(data={"name": '"><script>'})
    form.validate()
    html = draw(app, "{{ ui.field(form.name, help='Short.', autocomplete='off') }}", form=form)
    assert 'aria-invalid="true"' in html
    assert 'aria-describedby="name-error name-help"' in html
    assert "Use &lt;letters&gt; only." in html
    assert "<script>" not in html
    assert 'autocomplete="off"' in html


def test_a_password_is_never_sent_back(app: Flask) -> None:
    html = draw(app, "{{ ui.input('password', 'Password', 'secret', type='password') }}")
    assert "secret" not in html


@pytest.mark.asvs("1.2.1")
def test_further_attributes_are_escaped_and_flags_are_bare(app: Flask) -> None:
    html = draw(app, "{{ ui.button('Go', hx_get='/a?b=\"c\"', disabled=true, hidden=false, title=none) }}")
    assert 'hx-get="/a?b=&#34;c&#34;"' in html
    assert " disabled>" in html
    assert "hidden" not in html
    assert "title" not in html


def test_steps_say_their_status_to_everybody(app: Flask) -> None:
    steps = (Step("queued", "done", datetime.now(UTC)), Step("disk", "current"), Step("boot", "waiting"))
    html = draw(app, "{{ ui.steps(steps) }}", steps=steps)
    assert html.count("<li") == 3
    assert 'aria-current="step"' in html
    assert re.search(r'Queued<span class="visually-hidden">: done', html)


def test_a_live_balance_carries_what_it_needs_to_move(app: Flask) -> None:
    balance = Balance(datetime(2026, 11, 23, 12, tzinfo=UTC), 4_000_000, 1_000_000, 250_000, 65_000)
    html = draw(app, "{{ ui.live_balance(balance) }}", balance=balance)
    assert 'data-balance-micro="4750000"' in html
    assert 'data-burn-micro-per-hour="65000"' in html
    assert 'data-balance-at="2026-11-23T12:00:00Z"' in html
    assert ">4.7500<" in html


def test_an_empty_state_may_have_no_actions(app: Flask) -> None:
    assert "Nothing here" in draw(app, "{{ ui.empty('Nothing here') }}")


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "just now"), (65, "1 min ago"), (7200, "2 h ago"), (-7265, "in 2 h 1 min"), (-200, "in 3 min 20 s")],
)
def test_ages_in_words(seconds: int, words: str) -> None:
    now = datetime(2026, 11, 23, 12, tzinfo=UTC)
    assert filters.ago(now - timedelta(seconds=seconds), now) == words


@pytest.mark.parametrize(
    ("seconds", "words"), [(0, "0 s"), (59, "59 s"), (3600, "1 h"), (3700, "1 h 1 min"), (90061, "1 d 1 h")]
)
def test_durations_in_words(seconds: int, words: str) -> None:
    assert filters.duration(seconds) == words


@pytest.mark.parametrize(("mib", "words"), [(128, "128 MiB"), (1024, "1 GiB"), (1536, "1.5 GiB"), (8192, "8 GiB")])
def test_memory_in_words(mib: int, words: str) -> None:
    assert filters.memory(mib) == words


@pytest.mark.parametrize(
    ("at", "words"),
    [
        (datetime(2026, 11, 29, 21, 27, tzinfo=UTC), "today 21:27"),
        (datetime(2026, 11, 30, 0, 5, tzinfo=UTC), "tomorrow 00:05"),
        (datetime(2026, 12, 5, 14, 5, tzinfo=UTC), "Saturday 14:05"),
        (datetime(2026, 12, 6, 14, 5, tzinfo=UTC), "6 Dec 2026, 14:05 UTC"),
    ],
)
def test_a_moment_within_the_week_has_its_day(at, words):
    assert filters.near(at, datetime(2026, 11, 29, 18, 30, tzinfo=UTC)) == words
