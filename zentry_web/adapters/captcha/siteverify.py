"""hCaptcha, Turnstile and reCAPTCHA: a widget in the page, and one request (siteverify) that all three understand."""

from dataclasses import replace

import requests

from zentry_web.adapters.captcha.base import CaptchaAway
from zentry_web.domain.people.captcha import Widget

TIMEOUT_SECONDS = (3, 5)
LONGEST_ANSWER = 8000
NOTHING = "none"
MOST_BYTES = 64 * 1024
_TURNSTILE, _GOOGLE, _GSTATIC = "https://challenges.cloudflare.com", "https://www.google.com", "https://www.gstatic.com"
VERIFY = {
    "hcaptcha": "https://api.hcaptcha.com/siteverify",
    "turnstile": f"{_TURNSTILE}/turnstile/v0/siteverify",
    "recaptcha": f"{_GOOGLE}/recaptcha/api/siteverify",
}
WIDGETS = {
    "hcaptcha": Widget(
        "https://js.hcaptcha.com/1/api.js",
        "h-captcha",
        "",
        "h-captcha-response",
        ("https://hcaptcha.com", "https://*.hcaptcha.com"),
    ),
    "turnstile": Widget(
        f"{_TURNSTILE}/turnstile/v0/api.js", "cf-turnstile", "", "cf-turnstile-response", (_TURNSTILE,)
    ),
    "recaptcha": Widget(
        f"{_GOOGLE}/recaptcha/api.js",
        "g-recaptcha",
        "",
        "g-recaptcha-response",
        (f"{_GOOGLE}/recaptcha/", f"{_GSTATIC}/recaptcha/"),
    ),
}


class SiteverifyCaptcha:
    """``api`` stands in for all of the provider's addresses in tests."""

    def __init__(self, *, provider: str, site_key: str, secret: str, api: str = "") -> None:
        found = replace(WIDGETS[provider], site_key=site_key)
        if api:
            found = replace(found, script=f"{api}/api.js", hosts=(api,))
        self.widget: Widget | None = found
        self._secret = secret
        self._url = f"{api}/siteverify" if api else VERIFY[provider]

    def verify(self, answer: str, address: str | None) -> bool:
        """Ask the provider, which takes an answer once. It is asked without one too: its script may not have loaded
        because it is away."""
        if len(answer) > LONGEST_ANSWER:
            return False
        fields = {"secret": self._secret, "response": answer or NOTHING} | ({"remoteip": address} if address else {})
        try:
            with requests.post(
                self._url, data=fields, timeout=TIMEOUT_SECONDS, allow_redirects=False, stream=True
            ) as reply:
                if reply.status_code != 200:
                    raise CaptchaAway(f"It answers with {reply.status_code}.")
                reply._content = reply.raw.read(MOST_BYTES, decode_content=True)
                told = reply.json()
        except (requests.RequestException, ValueError, OSError) as error:
            raise CaptchaAway(f"It does not answer ({type(error).__name__}).") from error
        if not isinstance(told, dict) or not isinstance(told.get("success"), bool):
            raise CaptchaAway("Its answer cannot be read.")
        codes = told.get("error-codes") or []
        if any("secret" in str(code) for code in codes):  # our own setting is wrong: nobody could ever pass
            raise CaptchaAway("It does not accept ZENTRY_CAPTCHA_SECRET.")
        return bool(told["success"])
