"""Static files: one URL per content, cached for good, compressed ahead of time.

``asset_url('css/zentry.css')`` gives ``/static/<12 hex digits of its sha256>/css/zentry.css``. A request whose
digits match the file (and any file under ``vendor/``, whose folders carry the version) is answered with a
far-future, immutable ``Cache-Control``; other paths to an existing file work too, but are revalidated by ETag.

Vendored files have ``.br`` and ``.gz`` siblings in the tree. Our own small files are compressed in memory when they
are first asked for. ``icon_svg(name)`` is an icon of the sprite. ``init_assets(app)`` replaces Flask's own static view,
so ``url_for('static', …)`` keeps working.
"""

import gzip
import hashlib
import mimetypes
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import brotli
from flask import Flask, Response, abort, current_app, request
from markupsafe import Markup

FOREVER = "public, max-age=31536000, immutable"
REVALIDATE = "public, max-age=0, must-revalidate"
ENCODINGS = (("br", ".br"), ("gzip", ".gz"))
COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "br": lambda body: bytes(brotli.compress(body, mode=brotli.MODE_TEXT, quality=11)),
    "gzip": lambda body: gzip.compress(body, 9, mtime=0),
}
DIGEST = re.compile(r"^([0-9a-f]{12})/(.+)$")
TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".webp": "image/webp",
    ".woff2": "font/woff2",
}
SPRITE = "img/icons.svg"
COMPRESSIBLE = {".css", ".js", ".svg", ".json", ".txt"}


@dataclass(slots=True)
class Asset:
    """One static file as it was when it was last read."""

    path: Path
    modified_ns: int
    digest: str
    content_type: str
    encoded: dict[str, bytes] = field(default_factory=dict)

    def body(self, encoding: str) -> bytes:
        """The file's bytes in one encoding; '' is the file itself."""
        if encoding not in self.encoded:
            self.encoded[encoding] = self._load(encoding)
        return self.encoded[encoding]

    def encodings(self) -> list[str]:
        """The encodings this file can be had in, best first."""
        if self.path.suffix not in COMPRESSIBLE:
            return []
        siblings = [name for name, suffix in ENCODINGS if Path(f"{self.path}{suffix}").exists()]
        return siblings or list(COMPRESS)

    def _load(self, encoding: str) -> bytes:
        suffix = dict(ENCODINGS).get(encoding, "")
        sibling = Path(f"{self.path}{suffix}")
        if sibling.exists():
            return sibling.read_bytes()
        return COMPRESS[encoding](self.path.read_bytes())


class AssetStore:
    """Knows every file under one folder, served under ``prefix``. With ``watch`` a changed file is noticed."""

    def __init__(self, root: Path, *, prefix: str = "/static", watch: bool = False) -> None:
        self.root = root.resolve()
        self.prefix = prefix  # kept: Flask works its own out anew at each look, and a page has hundreds of icons
        self.watch = watch
        self._known: dict[str, Asset] = {}

    def find(self, name: str) -> Asset | None:
        """The asset of that name relative to the folder, or None: no such file, or outside the folder."""
        asset = self._known.get(name)
        if asset is None or (self.watch and self._changed(asset)):
            asset = self._read(name)
            if asset is not None:
                self._known[name] = asset
        return asset

    def url_path(self, name: str) -> str:
        """``<digest>/<name>``. Raises LookupError for a file that is not there: a typing error in a template."""
        asset = self.find(name)
        if asset is None:
            raise LookupError(f"no static file named {name}")
        return f"{asset.digest}/{name}"

    def _changed(self, asset: Asset) -> bool:
        return not asset.path.exists() or asset.path.stat().st_mtime_ns != asset.modified_ns

    def _read(self, name: str) -> Asset | None:
        path = (self.root / name).resolve()
        if not path.is_relative_to(self.root) or not path.is_file():
            return None
        guessed = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        digest = hashlib.sha256(path.read_bytes()).hexdigest()[:12]
        return Asset(path, path.stat().st_mtime_ns, digest, TYPES.get(path.suffix, guessed))


def init_assets(app: Flask) -> None:
    """Serve the app's static folder through this module and give templates ``asset_url(name)``."""
    store = AssetStore(Path(str(app.static_folder)), prefix=app.static_url_path or "/static", watch=app.debug)
    app.extensions["assets"] = store
    app.view_functions["static"] = serve
    app.jinja_env.globals.update(asset_url=asset_url, icon_svg=_icons_of(store))


def asset_url(name: str) -> str:
    """The address of a static file, safe to cache for good. Raises LookupError when there is no such file."""
    store: AssetStore = current_app.extensions["assets"]
    return f"{store.prefix}/{store.url_path(name)}"


def _icons_of(store: AssetStore) -> Callable[..., Markup]:
    """The template's ``icon_svg(name, cls='')``: an icon of the sprite, hidden from screen readers.

    A page has hundreds of them: so it is a function, and one that need not ask which application this is.
    """
    return lambda name, cls="": _drawn(f"{store.prefix}/{store.url_path(SPRITE)}", name, cls)


@lru_cache(maxsize=1024)
def _drawn(sprite: str, name: str, cls: str) -> Markup:
    return Markup('<svg class="icon{}" aria-hidden="true"><use href="{}#{}"/></svg>').format(
        f" {cls}" if cls else "", sprite, name
    )


def serve(filename: str) -> Response:
    """Flask's ``static`` endpoint: answers with the best encoding the browser takes."""
    store: AssetStore = current_app.extensions["assets"]
    hashed = DIGEST.match(filename)
    name = hashed.group(2) if hashed else filename
    asset = store.find(name)
    if asset is None:
        abort(404)
    current = hashed is not None and hashed.group(1) == asset.digest
    accepted = [name for name in asset.encodings() if request.accept_encodings[name]]
    encoding = accepted[0] if accepted else ""
    response = Response(asset.body(encoding), content_type=asset.content_type)
    if encoding:
        response.headers["Content-Encoding"] = encoding
    response.headers["Vary"] = "Accept-Encoding"
    response.headers["Cache-Control"] = FOREVER if current or name.startswith("vendor/") else REVALIDATE
    response.set_etag(f"{asset.digest}-{encoding}" if encoding else asset.digest)
    response.make_conditional(request)
    return response
