"""E-mail addresses that reach the same person, and how they are written on the wire."""

import unicodedata
from collections.abc import Callable

import idna

# What their providers themselves say: the part after '+' is a tag, and dots do not count (the second set).
_TAGS = frozenset(
    ["gmail.com", "outlook.com", "hotmail.com", "live.com", "icloud.com", "proton.me", "fastmail.com", "zoho.com"],
)
_DOTS = frozenset({"gmail.com", "proton.me"})
_SAME = {
    "googlemail.com": "gmail.com",
    "me.com": "icloud.com",
    "mac.com": "icloud.com",
    "protonmail.com": "proton.me",
    "pm.me": "proton.me",
}


def email_key(email: str) -> str:
    """What decides whether two addresses are the same account: ``lower()`` of what stands before the ``@``, the domain
    as IDNA 2008 writes it. ``faß.de`` and ``fass.de`` are two domains, ``BÜCHER.example`` is ``xn--bcher-kva.example``.

    ``+tags`` matter. Whatever is no address is only put in lower case.
    """
    local, at, domain = unicodedata.normalize("NFC", email.strip()).rpartition("@")
    return f"{local.lower()}{at}{_domain(domain, idna.decode)}"


def wire_address(email: str) -> str:
    """The address with its domain in ASCII, as a mail server without SMTPUTF8 takes it."""
    local, at, domain = email.rpartition("@")
    return f"{local}{at}{_domain(domain, None)}"


def _domain(domain: str, back: Callable[[str], str] | None) -> str:
    try:
        ascii_form = idna.encode(domain, uts46=True).decode()
        return back(ascii_form) if back else ascii_form
    except idna.IDNAError:
        return domain.lower()


def mailbox(email: str) -> str:
    """The mailbox behind an address, for what one person gets once: ``A.na+x@googlemail.com`` is ``ana@gmail.com``.

    Only for the large providers, whose rules are known; any other address is itself, in lower case.
    """
    local, _, domain = email_key(email).rpartition("@")
    domain = _SAME.get(domain, domain)
    if domain in _TAGS:
        local = local.partition("+")[0] or local
    if domain in _DOTS:
        local = local.replace(".", "") or local
    return f"{local}@{domain}"
