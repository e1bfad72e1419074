"""The Zentry that a browser looks at: some people with machines and days of history, an admin, web and worker."""

import contextlib
import os
import secrets
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.client import Client
from bench.servers import make_config, web, worker
from bench.stage import wait_until
from zentry_web.composition import build_container
from zentry_web.config import Config
from zentry_web.demo import seed
from zentry_web.demo.play import ADMIN_EMAIL
from zentry_web.domain.vms.state import IN_TRANSITION, VMState
from zentry_web.services.service_container import ServiceContainer

PEOPLE = 4


@dataclass(frozen=True)
class Demo:
    """What is open in the browser: who looks ('' for a visitor) and the path, by a page's name; cookies by who."""

    folder: Path
    port: int
    pages: dict[str, tuple[str, str]]
    cookies: dict[str, dict[str, str]]

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.port}{self.pages[name][1]}"

    def cookies_for(self, name: str) -> dict[str, str]:
        """Of who looks at the page of that name."""
        return self.cookies[self.pages[name][0]]


def chromium() -> str:
    """The browser: $CHROMIUM, else the one on the PATH."""
    found = os.environ.get("CHROMIUM") or shutil.which("chromium")
    assert found, "Chromium is not installed; scripts/install --test does that"
    return found


@contextlib.contextmanager
def demo(folder: Path, *, vms: int, days: int) -> Iterator[Demo]:
    """Seed, start web and worker, wait until the worker has caught up, sign everybody in."""
    folder.mkdir(mode=0o711, exist_ok=True)
    config, password = make_config(folder / "data"), secrets.token_urlsafe(12)
    seed(config, users=PEOPLE, vms=vms, days=days, seed=7, password=password)
    container = build_container(config)
    with web(config, folder), worker(config, folder):
        rows = container.users.list_users(limit=PEOPLE + 2)
        owner = max((row for row in rows if not row.user.is_admin), key=lambda row: row.vm_count).user
        _settle(container, owner.id)
        listed = container.vms.list_vms(owner.id).vms
        running = min((vm for vm in listed if vm.state == VMState.RUNNING), key=lambda vm: vm.created_at)
        pages = {
            "landing": ("", "/"),
            "log_in": ("", "/login"),
            "overview": ("owner", "/overview"),
            "machines": ("owner", "/vms"),
            "machine": ("owner", f"/vms/{running.id}"),
            "metrics": ("owner", f"/vms/{running.id}/metrics"),
            "credits": ("owner", "/credits"),
            "project": ("owner", f"/projects/{running.project_id}"),
            "admin": ("admin", "/admin"),
        }
        cookies: dict[str, dict[str, str]] = {"": {}, "owner": _sign_in(config, owner.email, password)}
        cookies["admin"] = _sign_in(config, ADMIN_EMAIL, password)
        try:
            yield Demo(folder, config.port, pages, cookies)
        finally:
            container.close()


def _settle(container: ServiceContainer, user_id: str) -> None:
    def is_quiet() -> bool:
        states = container.vms.count_by_state(None)
        return not any(states.get(state) for state in IN_TRANSITION) and bool(container.monitoring.get_busiest(user_id))

    wait_until(is_quiet, 120, "machines and figures are as they will be", every=1)


def _sign_in(config: Config, email: str, password: str) -> dict[str, str]:
    client = Client(config.port)
    client.log_in(email, password)
    client.close()
    return client.cookies
