"""Static files: one address per content, cached for good, compressed ahead of time; vendored ones match their sums."""

import gzip
import re
import subprocess
import sys
from pathlib import Path

import brotli
import pytest
from flask import Flask
from flask.testing import FlaskClient

from zentry_web.web.assets import asset_url, init_assets

pytestmark = pytest.mark.unit
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def site(tmp_path: Path) -> Flask:
    """A bare application with three static files."""
    (tmp_path / "css").mkdir()
    (tmp_path / "css" / "a.css").write_text("body{color:red}" * 50)
    (tmp_path / "vendor").mkdir()
    (tmp_path / "vendor" / "b.js").write_text("1;" * 99)
    (tmp_path / "vendor" / "b.js.br").write_bytes(b"brotli bytes")
    (tmp_path / "vendor" / "b.js.gz").write_bytes(gzip.compress(b"1;" * 99))
    (tmp_path / "pixel.png").write_bytes(b"\x89PNG")
    app = Flask("site", static_folder=str(tmp_path), static_url_path="/static", root_path=str(tmp_path))
    init_assets(app)
    return app


@pytest.fixture
def visitor(site: Flask) -> FlaskClient:
    """A client of that application."""
    return site.test_client()


def address(site: Flask, name: str) -> str:
    with site.app_context():
        return asset_url(name)


def test_an_address_names_its_content_and_is_cached_for_good(site: Flask, visitor: FlaskClient) -> None:
    answer = visitor.get(address(site, "css/a.css"))
    assert answer.status_code == 200
    assert answer.mimetype == "text/css"
    assert "immutable" in answer.headers["Cache-Control"]
    assert "Accept-Encoding" in answer.headers["Vary"]


def test_a_wrong_or_missing_digest_is_revalidated(visitor: FlaskClient) -> None:
    for path in ("/static/css/a.css", "/static/000000000000/css/a.css"):
        answer = visitor.get(path)
        assert answer.status_code == 200
        assert "must-revalidate" in answer.headers["Cache-Control"]
        again = visitor.get(path, headers={"If-None-Match": answer.headers["ETag"]})
        assert again.status_code == 304


def test_the_best_encoding_the_browser_takes(visitor: FlaskClient) -> None:
    small = visitor.get("/static/vendor/b.js", headers={"Accept-Encoding": "gzip, br"})
    assert (small.headers["Content-Encoding"], small.data) == ("br", b"brotli bytes")
    zipped = visitor.get("/static/vendor/b.js", headers={"Accept-Encoding": "gzip, br;q=0"})
    assert (zipped.headers["Content-Encoding"], gzip.decompress(zipped.data)) == ("gzip", b"1;" * 99)
    plain = visitor.get("/static/vendor/b.js")
    assert "Content-Encoding" not in plain.headers
    assert plain.data == b"1;" * 99


def test_our_own_files_are_compressed_in_memory_and_pictures_are_not(visitor: FlaskClient) -> None:
    for takes, encoding, undo in (("gzip", "gzip", gzip.decompress), ("gzip, br", "br", brotli.decompress)):
        style = visitor.get("/static/css/a.css", headers={"Accept-Encoding": takes})
        assert style.headers["Content-Encoding"] == encoding
        assert undo(style.data) == b"body{color:red}" * 50
    picture = visitor.get("/static/pixel.png", headers={"Accept-Encoding": "gzip, br"})
    assert picture.data == b"\x89PNG"


def test_nothing_outside_the_folder_is_served(visitor: FlaskClient) -> None:
    for path in ("/static/../secret", "/static/%2e%2e/secret", "/static/nothing.css"):
        assert visitor.get(path).status_code == 404


def test_a_file_that_is_not_there_has_no_address(site: Flask) -> None:
    with pytest.raises(LookupError):
        address(site, "css/missing.css")


def test_a_changed_file_gets_a_new_address_while_developing(tmp_path: Path) -> None:
    (tmp_path / "a.css").write_text("a")
    app = Flask("site", static_folder=str(tmp_path), static_url_path="/static", root_path=str(tmp_path))
    app.debug = True
    init_assets(app)
    first = address(app, "a.css")
    (tmp_path / "a.css").write_text("bb")
    assert address(app, "a.css") != first


@pytest.mark.asvs("15.1.2")
def test_vendored_files_match_their_sums() -> None:
    checked = subprocess.run([sys.executable, ROOT / "scripts" / "vendor", "--check"], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr


CLASS = re.compile(r"\.([a-z][a-z0-9-]*)")
IN_TEMPLATES = re.compile(r'class="([^"]*)"')


def test_no_template_or_script_uses_a_class_of_tabler_that_was_left_out() -> None:
    """If this fails: scripts/vendor-tabler-css, then scripts/vendor --update."""
    web = ROOT / "zentry_web"
    full, kept = ((web / "static/vendor/tabler-1.6.1" / name).read_text() for name in ("tabler.min.css", "tabler.css"))
    left_out = set(CLASS.findall(full)) - set(CLASS.findall(kept))
    assert len(left_out) > 1000
    used = set()
    for template in (web / "templates").rglob("*.html"):
        used |= {word for found in IN_TEMPLATES.findall(template.read_text()) for word in re.findall(r"[\w-]+", found)}
    for script in (
        *(web / "static/js").glob("*.js"),
        *(web / "static/css").glob("*.css"),
        *(web / "web").rglob("*.py"),
    ):
        used |= {word for word in re.findall(r"[\w-]+", script.read_text()) if "-" in word}
    assert used & left_out == set()
