"""Where a log-in may lead back to: an address of this site, nothing else."""

from urllib.parse import urlsplit

NOT_PAGES = ("/logout", "/account/theme", "/events")  # answer a POST or a stream only


def safe_next(target: str, otherwise: str) -> str:
    """``target`` when it is a plain path on this site that can be opened, else ``otherwise``.

    Browsers read ``//host`` and ``/\\host`` as another site, and drop control characters before they look.
    """
    parts = urlsplit(target)
    unsafe = (
        not target.startswith("/")
        or target.startswith("//")
        or "\\" in target
        or any(ord(sign) < 32 for sign in target)
        or parts.scheme
        or parts.netloc
        or parts.path in NOT_PAGES
    )
    return otherwise if unsafe else target
