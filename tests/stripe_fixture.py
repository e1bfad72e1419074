"""localstripe as a process of a test run's own, and webhooks signed as Stripe signs them."""

import json
import os
import socket
import subprocess
import sys
import time
from contextlib import contextmanager

import stripe

from tests.compute_contract import wait_for
from zentry_web.adapters.payments.stripe import StripeProvider

SECRET_KEY, WEBHOOK_SECRET = "sk_test_secretkey1", "whsec_webhooksecret1"
VISA, DECLINED_LATER, WANTS_ITS_HOLDER = "4242424242424242", "4000000000000341", "4000002760003184"


class Recorder(stripe.RequestsClient):
    """Keeps the headers of what is sent."""

    def __init__(self):
        super().__init__(timeout=20)
        self.sent = []

    def request(self, method, url, headers, post_data=None):
        self.sent.append((method, url, dict(headers)))
        return super().request(method, url, headers, post_data)


@contextmanager
def localstripe(folder):
    """Run one on a free port; its address. It keeps its memory in a file under /tmp, which is of no use to us."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with (folder / "localstripe.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "localstripe", "--from-scratch", "--port", str(port)],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=folder,
            env={name: value for name, value in os.environ.items() if name != "PYTHONWARNINGS"},
        )  # fmt: skip
    try:
        wait_for(lambda: _answers(process, port), 60, "localstripe to answer")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait(30)


def _answers(process, port):
    assert process.poll() is None, "localstripe ended"
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def provider_at(api, http=None):
    return StripeProvider(
        secret_key=SECRET_KEY, publishable_key="pk_test_1", webhook_secret=WEBHOOK_SECRET, api=api, http=http
    )


def card_of(api, customer_ref, number=VISA):
    """What Stripe.js does in a payer's browser: a card, kept for a customer. Returns the method's id."""
    client = stripe.StripeClient(SECRET_KEY, base_addresses={"api": api})
    card = {"number": number, "exp_month": 12, "exp_year": 2039, "cvc": "123"}
    method = client.v1.payment_methods.create({"type": "card", "card": card})
    client.v1.payment_methods.attach(method.id, {"customer": customer_ref})
    return method.id


def signed(kind, thing, *, secret=WEBHOOK_SECRET, event_id="evt_1", age=0):
    """(payload, headers) of a webhook as Stripe would send it."""
    now = int(time.time()) - age
    event = {"id": event_id, "object": "event", "type": kind, "created": now, "data": {"object": thing}}
    payload = json.dumps(event)
    header = stripe.WebhookSignature.generate_signature_header(payload, secret, timestamp=now)
    return payload.encode(), {"Stripe-Signature": header}
