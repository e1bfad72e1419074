"""What the code must not contain, whoever adds it: rules of security that no input can be tried against."""

import ast
import json
import re
import ssl
import stat
import subprocess
import sys
import xml.etree.ElementTree as ET

import pytest

from tests.source import ROOT, modules, named, tree

pytestmark = pytest.mark.unit

MODULES = modules()
SCRIPTS = sorted((ROOT / "zentry_web" / "static" / "js").glob("*.js"))
# Who may open a connection to another process, and to whom. docs/protection.md lists them for operators.
CALLERS = {
    "zentry_web/adapters/captcha/siteverify.py": "the captcha's provider (ZENTRY_CAPTCHA_PROVIDER)",
    "zentry_web/adapters/compute/libvirt/images/fetching.py": "the hosts that admins allow images from (https)",
    "zentry_web/adapters/oidc/authlib_provider.py": "the OpenID provider (ZENTRY_OIDC_ISSUER, what its document names)",
    "zentry_web/adapters/payments/stripe.py": "Stripe",
    "zentry_web/adapters/mailer.py": "the mail server (ZENTRY_SMTP_URL)",
    "zentry_web/cli.py": "its own worker on loopback",
    "zentry_web/listening.py": "its own web server",
}
LIBRARIES = {"requests", "urllib.request", "http.client", "httpx", "aiohttp", "urllib3", "smtplib", "stripe", "ftplib",
             "authlib.integrations.requests_client", "websockets", "telnetlib", "xmlrpc.client"}  # fmt: skip

# What .format() is called on: literal text, constants, boot messages, SQL of our columns.
FIXED_FORMAT = re.compile(r"_?[A-Z][A-Z_]*(\[.+\])?|'.*'|Markup\('.*'\)")
FIXED_NAMES = {
    "zentry_web/adapters/compute/simulator/console.py": "line",
    "zentry_web/services/billing/ledger/fast_sql.py": "statement",
}


def calls(paths=MODULES):
    """(path, what is called as written, the call)."""
    for path in paths:
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.Call):
                yield path, ast.unparse(node.func), node


def imports(path):
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def is_constant(node):
    return isinstance(node, ast.Name) and node.id.isupper()


def keyword(node, name):
    return next((ast.unparse(each.value) for each in node.keywords if each.arg == name), None)


@pytest.mark.asvs("1.3.6", "13.2.4", "13.2.5")
def test_only_these_modules_speak_to_others():
    found = {named(path) for path in MODULES if LIBRARIES & set(imports(path))}
    assert found == set(CALLERS)


@pytest.mark.asvs("15.3.2")
def test_no_request_follows_a_redirect():
    """Every call by requests says so; Stripe's library gets a session that refuses (test_payment_contract_stripe)."""
    followed = [
        f"{named(path)}:{node.lineno}"
        for path, name, node in calls()
        if re.fullmatch(r"(requests|session|http)\.(get|post|put|delete|request|head|patch|fetch_token)", name)
        and keyword(node, "allow_redirects") != "False"
        and named(path) in CALLERS
    ]
    assert followed == []


@pytest.mark.asvs("12.3.2")
def test_certificates_of_others_are_checked():
    loose = [
        f"{named(path)}:{node.lineno}"
        for path, name, node in calls()
        if keyword(node, "verify") == "False"
        or "_create_unverified" in name
        or keyword(node, "check_hostname") == "False"
    ]
    assert loose == []


@pytest.mark.asvs("1.2.5")
def test_no_program_is_started_through_a_shell():
    bad = [
        f"{named(path)}:{node.lineno}"
        for path, name, node in calls()
        if name in ("os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput")
        or keyword(node, "shell") not in (None, "False")
    ]
    assert bad == []
    started = [node for _, name, node in calls() if name in ("subprocess.run", "subprocess.Popen")]
    assert started, "there are programs that are started"
    for node in started:
        assert not isinstance(node.args[0], ast.JoinedStr | ast.Constant), ast.unparse(node)


@pytest.mark.asvs("1.3.2", "1.3.7", "1.5.2")
def test_nothing_evaluates_or_deserializes_code():
    evaluating = {"eval", "exec", "compile", "__import__", "render_template_string", "env.from_string"}
    reading = re.compile(r"(pickle|marshal|shelve|dill|jsonpickle|yaml)\.")
    bad = [f"{named(path)}:{node.lineno}" for path, name, node in calls() if name in evaluating or reading.match(name)]
    assert bad == []


@pytest.mark.asvs("1.2.4")
def test_statements_are_never_put_together_from_text():
    """``text(…)`` of SQLAlchemy takes constants and constants' names, never a value."""
    bad = []
    for path, name, node in calls():
        if name != "text" or "sqlalchemy" not in set(imports(path)) or not node.args:
            continue
        parts = [each.value for each in ast.walk(node.args[0]) if isinstance(each, ast.FormattedValue)]
        whole = isinstance(node.args[0], ast.Constant | ast.Name | ast.JoinedStr)
        if not whole or not all(map(is_constant, parts)):
            bad.append(f"{named(path)}:{node.lineno}: {ast.unparse(node)[:80]}")
    assert bad == []


@pytest.mark.asvs("1.2.9")
def test_patterns_are_fixed():
    """No regular expression is built from what comes in."""
    bad = [
        f"{named(path)}:{node.lineno}: {ast.unparse(node)[:80]}"
        for path, name, node in calls()
        if re.fullmatch(r"re\.(compile|match|fullmatch|search|sub|findall|split)", name)
        and not all(is_constant(part.value) for part in ast.walk(node.args[0]) if isinstance(part, ast.FormattedValue))
    ]
    assert bad == []


@pytest.mark.asvs("1.3.10")
def test_formats_are_fixed():
    bad = [
        f"{named(path)}:{node.lineno}"
        for path, _, node in calls()
        if isinstance(node.func, ast.Attribute)
        and node.func.attr in ("format", "format_map")
        and not FIXED_FORMAT.fullmatch(ast.unparse(node.func.value))
        and FIXED_NAMES.get(named(path)) != ast.unparse(node.func.value)
    ]
    assert bad == []


@pytest.mark.asvs("11.3.1", "11.3.2", "11.4.1", "11.4.3", "11.2.1", "11.6.1")
def test_only_approved_algorithms_are_used():
    hashes = {name for _, name, _ in calls() if re.fullmatch(r"hashlib\.\w+", name)}
    # SHA-512 is what guests keep passwords by; SHAKE stretches the mask of a form's token, which is no secret.
    assert hashes == {"hashlib.sha256", "hashlib.sha512", "hashlib.shake_128"}
    ciphers = {
        module.split(".", 1)[1] for path in MODULES for module in imports(path) if module.startswith("cryptography.")
    }
    assert ciphers <= {"fernet", "hazmat.primitives", "hazmat.primitives.hashes", "hazmat.primitives.kdf.hkdf",
                       "hazmat.primitives.serialization", "exceptions",
                       # how strong the public keys are that people keep here; nothing is signed or encrypted with them
                       "hazmat.primitives.asymmetric.ec", "hazmat.primitives.asymmetric.rsa"}  # fmt: skip


@pytest.mark.asvs("6.5.3", "11.5.1", "11.2.3")
def test_what_must_not_be_guessed_comes_from_the_system():
    """``random`` is for pictures of load and samples only."""
    users = {named(path) for path in MODULES if "random" in set(imports(path))}
    assert users == {
        "zentry_web/adapters/compute/simulator/load.py",
        "zentry_web/demo/plan.py",
        "zentry_web/domain/metrics_math.py",
    }
    from zentry_web.domain.people.factor import RECOVERY_ALPHABET, RECOVERY_LENGTH
    from zentry_web.domain.secret import new_secret

    assert len(RECOVERY_ALPHABET) ** RECOVERY_LENGTH >= 2**79
    assert len(new_secret()) >= 43, "256 bits"
    assert len({new_secret() for _ in range(100)}) == 100


@pytest.mark.asvs("1.5.1")
def test_xml_resolves_no_entities(tmp_path):
    (tmp_path / "secret").write_text("secret")
    for entity in (f'SYSTEM "file://{tmp_path}/secret"', 'SYSTEM "http://127.0.0.1:9/"'):
        with pytest.raises(ET.ParseError, match="undefined entity"):
            ET.fromstring(f"<!DOCTYPE a [<!ENTITY x {entity}>]><a>&x;</a>")
    parsers = {name for _, name, _ in calls() if re.fullmatch(r"(ET|etree|minidom|sax)\.(parse|fromstring|XML)", name)}
    assert parsers == {"ET.fromstring"}


@pytest.mark.asvs("3.2.2", "15.3.6", "14.3.3")
def test_our_scripts_put_text_into_pages_as_text():
    forbidden = {
        "markup from text": r"\.(innerHTML|outerHTML)\b|insertAdjacentHTML|document\.write",
        "text as code": r"\beval\(|new Function\(|setTimeout\(\s*['\"]",
        "messages of other windows": r"postMessage|onmessage\b|addEventListener\(\s*['\"]message",
        "storage of the browser": r"localStorage|sessionStorage|indexedDB|document\.cookie",
        "names of properties from outside": r"__proto__|\.prototype\[",
    }
    for script in SCRIPTS:
        source = script.read_text()
        for channel in re.findall(r"const (\w+) = [^\n]*new BroadcastChannel\(", source):
            source = re.sub(rf"\b{channel}\??\.(postMessage|addEventListener)\b", "", source)  # of this origin only
        for channel in re.findall(r"const (\w+) = [^\n;]*this\.socket\(", source):  # a console's own, of this origin
            source = re.sub(rf"\b{channel}\.addEventListener\b", "", source)
        found = [what for what, pattern in forbidden.items() if re.search(pattern, source)]
        assert found == [], script.name


@pytest.mark.asvs("3.7.1", "14.2.3")
def test_pages_load_nothing_from_elsewhere():
    """Nor do they use retired technology."""
    for template in (ROOT / "zentry_web" / "templates").rglob("*.html"):
        source = re.sub(r"\{#.*?#\}", "", template.read_text(), flags=re.S)
        assert not re.search(r"<(script|img|link|iframe)[^>]*(src|href)=[\"']https?://", source), template.name
        assert not re.search(r"<(applet|object|embed|marquee)\b|\.swf\b", source), template.name


@pytest.mark.asvs("4.4.1")
def test_one_script_opens_websockets_and_only_where_its_page_came_from():
    """So they are wss where the page is https. What the server asks of them: tests/functional/vms/test_console.py."""
    pattern = re.compile(r"\bnew WebSocket\b|simple_websocket|flask_sock|\bfrom websockets\.protocol|hx-ws")
    found = [path for path in [*MODULES, *SCRIPTS, *(ROOT / "zentry_web" / "templates").rglob("*.html")]
             if pattern.search(path.read_text())]  # fmt: skip
    assert [named(path) for path in found] == ["zentry_web/consoles/browser.py", "zentry_web/static/js/console.js"]
    script = found[1].read_text()
    assert script.count("new WebSocket(") == 1
    assert re.search(r"const url = new URL\([^;]*, location\.href\);\s*url\.protocol = url\.protocol\.replace", script)


def test_markup_is_made_in_two_places_only():
    """docs/security.md says of 1.3.1 that no text of people is shown as markup."""
    marked = {named(path) for path, name, _ in calls() if name.rsplit(".", 1)[-1] in ("Markup", "HTML")}
    texts = {
        "zentry_web/domain/language.py",
        "zentry_web/web/language.py",
    }  # literals and catalogues; values are escaped
    assert marked <= {"zentry_web/web/output/filters.py", "zentry_web/web/assets.py", "zentry_web/web/output/pdf.py",
                      "zentry_web/web/output/qr.py", *texts}  # fmt: skip
    for template in (ROOT / "zentry_web" / "templates").rglob("*.html"):
        assert not re.search(r"\|\s*safe\b|autoescape false", template.read_text()), template.name


@pytest.mark.asvs("15.1.2")
def test_the_lock_lists_every_library_with_its_sums():
    lines = (ROOT / "scripts" / "requirements.lock").read_text().splitlines()
    pinned = [line for line in lines if re.match(r"[a-z0-9]", line)]
    assert len(pinned) > 30
    for line in pinned:
        assert re.match(r"[a-z0-9_.-]+(\[[a-z,]+\])?==", line, re.I), line
    assert sum("--hash=sha256:" in line for line in lines) >= len(pinned)


@pytest.mark.asvs("13.3.1")
def test_no_secret_is_in_the_code():
    shapes = re.compile(r"sk_live_\w{8}|BEGIN (RSA |EC |OPENSSH )?PRIVATE KEY-----\n|AKIA[0-9A-Z]{16}|ghp_\w{30}")
    for path in [*MODULES, *(ROOT / "scripts").glob("*"), ROOT / "setup.cfg", ROOT / "Makefile"]:
        if path.is_file():
            assert not shapes.search(path.read_text(errors="replace")), named(path)


@pytest.mark.asvs("12.1.1", "12.1.2")
def test_others_are_spoken_to_with_current_tls():
    """What the mailer, requests and Stripe's library (urllib3) use."""
    from urllib3.util.ssl_ import create_urllib3_context

    from zentry_web.adapters.mailer import SmtpServer, make_mailer

    mailer = make_mailer(SmtpServer("smtps://mail.example.com", "Zentry <zentry@example.com>", "cloud.example.com"))
    for context in (mailer._context(), create_urllib3_context()):
        assert context.minimum_version >= ssl.TLSVersion.TLSv1_2
        assert not [each["name"] for each in context.get_ciphers() if re.search(r"RC4|3DES|NULL|MD5|EXP", each["name"])]
    contexts = {name for path, name, _ in calls() if name.startswith("ssl.")}
    assert contexts == {"ssl.create_default_context"}


@pytest.mark.asvs("4.2.1")
@pytest.mark.parametrize(
    "header",
    ["Content-Length: 5\r\nTransfer-Encoding: chunked", "Content-Length: 5\r\nContent-Length: 6", "Content-Length: +5",
     "Transfer-Encoding: xchunked", "Content-Length : 5", "Transfer-Encoding: chunked, identity"],
)  # fmt: skip
def test_the_server_refuses_requests_whose_end_is_not_clear(header):
    from gunicorn.config import Config
    from gunicorn.http import RequestParser
    from gunicorn.http.errors import ParseException

    raw = f"POST / HTTP/1.1\r\nHost: localhost\r\n{header}\r\n\r\n0\r\n\r\nGET /x HTTP/1.1\r\n\r\n".encode()
    with pytest.raises(ParseException):
        next(RequestParser(Config(), iter([raw]), ("127.0.0.1", 1)))


@pytest.mark.asvs("16.2.2", "16.2.3", "16.2.4", "16.4.1", "16.4.3")
def test_a_line_of_the_log_cannot_be_forged():
    """One JSON object per line on standard error, in UTC, whatever the values hold."""
    program = (
        "from zentry_web.logs import configure_logs; import structlog; configure_logs();"
        "structlog.get_logger('x').info('request', path='/a\\n{\"event\": \"forged\"}\\r\\x1b[3m\\u2028', user='\\0')"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin"},
    )
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert "\x1b" not in line
    written = json.loads(line)
    assert written["event"] == "request"
    assert written["path"].startswith("/a\n")
    assert written["timestamp"].endswith("Z")


@pytest.mark.asvs("13.3.2")
def test_the_secret_key_is_for_its_owner_only(tmp_path):
    from tests.conftest import make_config

    config = make_config(tmp_path / "data", secret_key="")
    assert len(config.get_secret_key()) == 64
    assert stat.S_IMODE((tmp_path / "data" / "secret-key").stat().st_mode) == 0o600
