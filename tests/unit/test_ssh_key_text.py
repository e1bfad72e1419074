"""Which lines are taken as SSH public keys, and that they are called what ssh-keygen calls them."""

import base64
import struct
import subprocess

import pytest

from zentry_web.domain.people.ssh_key_text import KINDS, parse_public_key

pytestmark = pytest.mark.unit

ED25519 = "AAAAC3NzaC1lZDI1NTE5AAAAIJ2mZ6rVjmbrtLQXwFYCPX4CDJcCkI8Ly8mSkMjO6CrH"


def made(folder, kind, bits=None, comment="ana at home"):
    """(the line, what ssh-keygen -l says) of a new key."""
    private = folder / f"{kind}{bits or ''}"
    size = ["-b", str(bits)] if bits else []
    command = ["ssh-keygen", "-q", "-t", kind, *size, "-N", "", "-C", comment, "-f", str(private)]
    subprocess.run(command, check=True, timeout=60)
    listed = subprocess.run(
        ["ssh-keygen", "-l", "-f", f"{private}.pub"], check=True, capture_output=True, text=True, timeout=60
    )
    return private.with_suffix(".pub").read_text(), listed.stdout


@pytest.mark.parametrize(
    ("kind", "bits", "name"),
    [
        ("ed25519", None, "ssh-ed25519"),
        ("ecdsa", 256, "ecdsa-sha2-nistp256"),
        ("ecdsa", 384, "ecdsa-sha2-nistp384"),
        ("ecdsa", 521, "ecdsa-sha2-nistp521"),
        ("rsa", 2048, "ssh-rsa"),
        ("rsa", 3072, "ssh-rsa"),
    ],
)
def test_it_says_what_ssh_keygen_says(tmp_path, kind, bits, name):
    line, listed = made(tmp_path, kind, bits)
    key = parse_public_key(line)
    assert listed.split()[:2] == [str(key.bits), key.fingerprint]
    assert (key.kind, key.comment, key.line) == (name, "ana at home", line.strip())


def words(*parts):
    return base64.b64encode(b"".join(struct.pack(">I", len(part)) + part for part in parts)).decode()


def test_a_key_on_a_security_key_is_one():
    kind = b"sk-ssh-ed25519@openssh.com"
    key = parse_public_key(f"{kind.decode()} {words(kind, base64.b64decode(ED25519)[-32:], b'ssh:')}")
    assert (key.kind, key.bits, key.comment) == (kind.decode(), 256, "")
    assert key.kind in KINDS


def test_spaces_around_it_do_not_matter_and_no_comment_is_none():
    key = parse_public_key(f"  ssh-ed25519\t{ED25519}  \r\n")
    assert key.line == f"ssh-ed25519 {ED25519}"


@pytest.mark.error
@pytest.mark.parametrize(
    ("text", "says"),
    [
        (None, "Paste a public key"),
        ("  ", "Paste a public key"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----\nb3Blbn", "private key"),
        ("PuTTY-User-Key-File-3: ssh-ed25519\nEncryption: none", "private key"),
        (f"ssh-ed25519 {ED25519} a\nssh-ed25519 {ED25519} b", "on one line"),
        (f"ssh-ed25519 {ED25519} a\u2028b", "on one line"),
        (f"ssh-ed25519 {ED25519} a\x1b[2J", "on one line"),
        (f"ssh-ed25519 {ED25519} {'a' * 9000}", "on one line"),
        (f"ssh-ed25519 {ED25519} {'a' * 201}", "200 characters"),
        (f"ssh-ed25519 {ED25519} a\u202eb", "plain text"),
        (f'command="rm -rf /" ssh-ed25519 {ED25519}', "before “ssh-ed25519”"),
        (f"no-pty ssh-ed25519 {ED25519}", "before “ssh-ed25519”"),
        ("ssh-dss AAAAB3NzaC1kc3MAAACBAP", "DSA"),
        (f"ssh-ed25519-cert-v01@openssh.com {ED25519}", "certificate"),
        (f"ssh-rsa {ED25519}", "not an OpenSSH public key"),  # another kind than it says
        (f"ssh-ed25519 {ED25519[:-4]}", "not an OpenSSH public key"),
        (f"ssh-ed25519 {ED25519}AAAA", "not an OpenSSH public key"),
        ("ssh-ed25519", "not an OpenSSH public key"),
        ("ssh-ed25519 ünïcode", "not an OpenSSH public key"),
        ("rubbish", "not an OpenSSH public key"),
    ],
)
def test_anything_else_is_refused_with_a_reason(text, says):
    with pytest.raises(ValueError, match=says):
        parse_public_key(text)


@pytest.mark.error
def test_a_short_rsa_key_is_refused(tmp_path):
    line, _ = made(tmp_path, "rsa", 1024)
    with pytest.raises(ValueError, match="has 1024 bits"):
        parse_public_key(line)


@pytest.mark.error
def test_one_key_has_one_spelling(tmp_path):
    line, _ = made(tmp_path, "ecdsa", 256)
    kind, blob, _ = line.split(None, 2)
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    other = f"{blob[:-2]}{letters[letters.index(blob[-2]) + 1]}="
    assert base64.b64decode(other) == base64.b64decode(blob)
    with pytest.raises(ValueError, match="not an OpenSSH public key"):
        parse_public_key(f"{kind} {other}")


def puttygen(line, *, comment="ana at home"):
    """What PuTTYgen's "Save public key" writes (RFC 4716)."""
    blob = line.split()[1]
    lines = [blob[start : start + 64] for start in range(0, len(blob), 64)]
    head = ["---- BEGIN SSH2 PUBLIC KEY ----", f'Comment: "{comment}"']
    return "\n".join([*head, *lines, "---- END SSH2 PUBLIC KEY ----", ""])


@pytest.mark.parametrize(("kind", "bits"), [("ed25519", None), ("rsa", 3072), ("ecdsa", 256)])
def test_a_key_saved_by_puttygen_is_read(tmp_path, kind, bits):
    line, _ = made(tmp_path, kind, bits)
    assert parse_public_key(puttygen(line)).line == line.strip()
    assert parse_public_key(puttygen(line).replace("\n", "\r\n")).line == line.strip()


def test_ssh_keygen_writes_the_same_form_and_headers_may_go_on(tmp_path):
    line, _ = made(tmp_path, "rsa", 2048)
    command = ["ssh-keygen", "-e", "-m", "RFC4716", "-f", str(tmp_path / "rsa2048.pub")]
    written = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout
    assert parse_public_key(written).blob == line.split()[1]
    folded = puttygen(line).replace('"ana at home"', '"ana at \\\nhome"').replace("Comment", "x-other: a\ncomment")
    assert parse_public_key(folded).line == line.strip()


@pytest.mark.parametrize("width", [40, 76, 80])
def test_a_line_that_a_terminal_broke_is_put_together(tmp_path, width):
    line, _ = made(tmp_path, "rsa", 3072)
    line = line.strip()
    broken = "\n".join(line[start : start + width] for start in range(0, len(line), width))
    assert parse_public_key(broken).line == line


@pytest.mark.error
@pytest.mark.parametrize("between", ["\n", "\r\n", "\n\n"])
def test_two_keys_are_not_one(between):
    with pytest.raises(ValueError, match="on one line"):
        parse_public_key(f"ssh-ed25519 {ED25519} a{between}ssh-ed25519 {ED25519} b")
    with pytest.raises(ValueError):
        parse_public_key(f"ssh-ed25519 {ED25519}{between}ssh-ed25519 {ED25519}")


@pytest.mark.error
@pytest.mark.parametrize("body", ["", "AAAA", "Comment: x", "%%%", "AAAAC3NzaC1lZDI1NTE5", "Comment: \\"])
def test_a_saved_key_that_is_none_is_refused(body):
    with pytest.raises(ValueError):
        parse_public_key(f"---- BEGIN SSH2 PUBLIC KEY ----\n{body}\n---- END SSH2 PUBLIC KEY ----")
