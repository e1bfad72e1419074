"""E-mail addresses that reach the same person."""

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


def mailbox(email: str) -> str:
    """The mailbox behind an address, for what one person gets once: ``A.na+x@googlemail.com`` is ``ana@gmail.com``.

    Only for the large providers, whose rules are known; any other address is itself, in lower case.
    """
    local, _, domain = email.strip().casefold().rpartition("@")
    domain = _SAME.get(domain, domain)
    if domain in _TAGS:
        local = local.partition("+")[0] or local
    if domain in _DOTS:
        local = local.replace(".", "") or local
    return f"{local}@{domain}"
