"""SHA-512 crypt, against the example of its specification and openssl."""

import shutil
import subprocess

import pytest

from zentry_web.domain.sha512_crypt import sha512_crypt

pytestmark = pytest.mark.unit


def test_it_gives_what_the_specification_says():
    wanted = "svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1"
    assert sha512_crypt("Hello world!", "saltstring") == f"$6$saltstring${wanted}"


@pytest.mark.parametrize("password", ["a", "x" * 64, "Grüße, Welt", "kQ7-" * 30])
def test_it_is_what_openssl_makes(password):
    openssl = shutil.which("openssl")
    assert openssl
    command = [openssl, "passwd", "-6", "-salt", "Zen.try/09", "-stdin"]
    made = subprocess.run(command, input=password.encode(), capture_output=True, check=True)
    assert sha512_crypt(password, "Zen.try/09") == made.stdout.decode().strip()
