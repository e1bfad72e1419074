"""What the processes keep for good is not collected again and again."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.unit

SCRIPT = """
import gc
from types import SimpleNamespace
from zentry_web import gunicorn_settings
from zentry_web.app import make_app
from zentry_web.composition import build_container
from zentry_web.config import Config

config = Config(data={data!r}, compute="simulator")
app = make_app(config, build_container(config))
gunicorn_settings.post_worker_init(SimpleNamespace(app=SimpleNamespace(wsgi=lambda: app)))
print(gc.get_freeze_count(), len(gc.get_objects()))
"""


def test_a_web_worker_keeps_what_it_was_built_of(tmp_path):
    command = [sys.executable, "-c", SCRIPT.format(data=str(tmp_path))]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    kept, left = map(int, done.stdout.split())
    assert kept > 100_000
    assert left < 1_000
