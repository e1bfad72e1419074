"""Debian's nginx, Caddy and Apache in front of a Zentry, with the snippets that docs/operating.md gives."""

import re
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.browser.product import wait_until

ROOT = Path(__file__).resolve().parent.parent
MODULES = Path("/usr/lib/apache2/modules")
APACHE_MODULES = ("mpm_event", "authz_core", "ssl", "proxy", "proxy_http", "headers", "unixd")


def snippet(language: str) -> str:
    """What the documentation gives for it."""
    text = (ROOT / "docs" / "operating.md").read_text()
    (found,) = re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)
    return str(found)


def make_certificate(folder: Path) -> Path:
    """A key (cloud.key) and a certificate (cloud.pem) for localhost; returns the latter."""
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost", "-keyout", folder / "cloud.key", "-out", folder / "cloud.pem"],
        check=True, capture_output=True,
    )  # fmt: skip
    return folder / "cloud.pem"


def _adapted(text: str, folder: Path, port: int, upstream: int) -> str:
    """The snippet with the test's names, files and ports."""
    changed = text.replace("127.0.0.1:8080", f"127.0.0.1:{upstream}").replace("cloud.example.com", "localhost")
    changed = changed.replace("/etc/ssl/certs", str(folder)).replace("/etc/ssl/private", str(folder))
    return re.sub(r"(listen |\*:)443", rf"\g<1>{port}", changed)


def nginx(folder: Path, port: int, upstream: int, text: str | None = None) -> list[str]:
    """Write nginx's configuration; the command that runs it. ``text``: instead of the documented server."""
    server = text or _adapted(snippet("nginx"), folder, port, upstream)
    temporary = "".join(
        f"{kind}_temp_path {folder}/{kind}; " for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "nginx.conf").write_text(
        f"daemon off; pid {folder}/nginx.pid; error_log {folder}/nginx.log; worker_processes 1;\n"
        f"events {{ worker_connections 512; }}\nhttp {{ access_log off; {temporary}\n{server}\n}}\n"
    )
    return ["nginx", "-c", str(folder / "nginx.conf"), "-e", str(folder / "nginx.log")]


def caddy(folder: Path, port: int, upstream: int) -> list[str]:
    """Write Caddy's configuration; the command that runs it."""
    site = _adapted(snippet("caddyfile"), folder, port, upstream)
    site = site.replace("localhost {", f"https://localhost:{port} {{\n    tls {folder}/cloud.pem {folder}/cloud.key")
    (folder / "Caddyfile").write_text(f"{{\n    admin off\n    auto_https off\n}}\n{site}")
    return ["caddy", "run", "--config", str(folder / "Caddyfile"), "--adapter", "caddyfile"]


def apache(folder: Path, port: int, upstream: int) -> list[str]:
    """Write Apache's configuration; the command that runs it."""
    loaded = [
        f"LoadModule {name}_module {MODULES}/mod_{name}.so"
        for name in APACHE_MODULES
        if (MODULES / f"mod_{name}.so").exists()  # the others are built in
    ]
    site = _adapted(snippet("apache"), folder, port, upstream)
    (folder / "apache.conf").write_text(
        "\n".join(
            [
                *loaded,
                f"ServerRoot {folder}",
                f"PidFile {folder}/apache.pid",
                f"ErrorLog {folder}/apache.log",
                f"DefaultRuntimeDir {folder}",
                "ServerName localhost",
                "User www-data",
                "Group www-data",
                f"Listen {port}",
                site,
            ]
        )
    )
    return ["apache2", "-f", str(folder / "apache.conf"), "-D", "FOREGROUND"]


PROXIES = {"nginx": nginx, "caddy": caddy, "apache": apache}


@contextmanager
def running(command: list[str], folder: Path, port: int) -> Iterator[None]:
    """The proxy, until the block ends."""
    home = {"HOME": str(folder), "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "XDG_DATA_HOME": str(folder)}
    with (folder / "proxy.log").open("ab") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=home)
    try:

        def answers() -> bool:
            assert process.poll() is None, (folder / "proxy.log").read_text()[-3000:]
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", port)) == 0

        wait_until(answers, 30, f"{command[0]} listens")
        yield
    finally:
        process.terminate()
        process.wait(30)
