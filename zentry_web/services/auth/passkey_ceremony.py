"""What passkeys are asked and what they answer (WebAuthn), without any database."""

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit

import webauthn
from webauthn.helpers import (
    base64url_to_bytes,
    bytes_to_base64url,
    parse_authentication_credential_json,
    parse_client_data_json,
    parse_registration_credential_json,
)
from webauthn.helpers.exceptions import WebAuthnException
from webauthn.helpers.structs import (
    AuthenticationCredential,
    AuthenticatorSelectionCriteria,
    AuthenticatorTransport,
    PublicKeyCredentialDescriptor,
    RegistrationCredential,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

LONGEST_ANSWER = 20_000
VERIFIED = UserVerificationRequirement.REQUIRED


class BadAnswer(Exception):
    """It is no answer of a passkey, or not to what was asked."""


@dataclass(frozen=True, slots=True)
class StoredKey:
    """A passkey as it is stored; texts are base64url."""

    credential_id: str
    public_key: str
    sign_count: int
    transports: str


class Ceremony:
    """Asks and verifies for the one site that people know by ``base_url``."""

    def __init__(self, base_url: str) -> None:
        parts = urlsplit(base_url)
        self._host = parts.hostname or ""
        self._origin = f"{parts.scheme}://{parts.netloc}".lower()

    @property
    def possible(self) -> bool:
        """Whether there can be passkeys: they belong to a name, never to an address such as 127.0.0.1."""
        try:
            ip_address(self._host)
        except ValueError:
            return bool(self._host)
        return False

    # -- asking ---------------------------------------------------------------------------------

    def ask_to_register(
        self, challenge: bytes, *, user_id: str, email: str, name: str, present: Iterable[StoredKey]
    ) -> str:
        """Options of navigator.credentials.create(), as JSON. Keys that are there already are left out."""
        options = webauthn.generate_registration_options(
            rp_id=self._host,
            rp_name="Zentry",
            user_id=user_id.encode(),
            user_name=email,
            user_display_name=name,
            challenge=challenge,
            exclude_credentials=[_descriptor(key) for key in present],
            authenticator_selection=AuthenticatorSelectionCriteria(
                resident_key=ResidentKeyRequirement.REQUIRED, user_verification=VERIFIED
            ),
        )
        return webauthn.options_to_json(options)

    def ask_to_sign(self, challenge: bytes, allowed: Iterable[StoredKey] = ()) -> str:
        """Options of navigator.credentials.get(), as JSON; without ``allowed`` any key of this site will do."""
        options = webauthn.generate_authentication_options(
            rp_id=self._host,
            challenge=challenge,
            allow_credentials=[_descriptor(key) for key in allowed],
            user_verification=VERIFIED,
        )
        return webauthn.options_to_json(options)

    # -- verifying ------------------------------------------------------------------------------

    def read_registration(self, answer: str) -> tuple[RegistrationCredential, bytes]:
        """The answer of create(), and the challenge that it signs. Raises BadAnswer."""
        try:
            found = parse_registration_credential_json(_short(answer))
            return found, _challenge(found.response.client_data_json)
        except (WebAuthnException, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise BadAnswer from error

    def read_signature(self, answer: str) -> tuple[AuthenticationCredential, bytes]:
        """The answer of get(), and the challenge that it signs. Raises BadAnswer."""
        try:
            found = parse_authentication_credential_json(_short(answer))
            return found, _challenge(found.response.client_data_json)
        except (WebAuthnException, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise BadAnswer from error

    def verify_registration(self, credential: RegistrationCredential, challenge: bytes) -> StoredKey:
        """The new key, whose owner was verified by the device. Raises BadAnswer."""
        try:
            found = webauthn.verify_registration_response(
                credential=credential,
                expected_challenge=challenge,
                expected_rp_id=self._host,
                expected_origin=self._origin,
                require_user_verification=True,
            )
        except (WebAuthnException, ValueError, TypeError, KeyError) as error:
            raise BadAnswer from error
        transports = ",".join(item.value for item in credential.response.transports or [])
        return StoredKey(
            bytes_to_base64url(found.credential_id),
            bytes_to_base64url(found.credential_public_key),
            found.sign_count,
            transports[:100],
        )

    def verify_signature(self, credential: AuthenticationCredential, challenge: bytes, key: StoredKey) -> int:
        """The key's new count of signatures. Raises BadAnswer, also when the count did not rise (a copied key)."""
        try:
            found = webauthn.verify_authentication_response(
                credential=credential,
                expected_challenge=challenge,
                expected_rp_id=self._host,
                expected_origin=self._origin,
                credential_public_key=base64url_to_bytes(key.public_key),
                credential_current_sign_count=key.sign_count,
                require_user_verification=True,
            )
        except (WebAuthnException, ValueError, TypeError, KeyError) as error:
            raise BadAnswer from error
        return found.new_sign_count


def _short(answer: str) -> str:
    if len(answer) > LONGEST_ANSWER:
        raise ValueError("too long")
    return answer


def _challenge(client_data: bytes) -> bytes:
    parsed = parse_client_data_json(client_data)
    if parsed.cross_origin:
        raise ValueError("asked from within another site")
    return parsed.challenge


def _descriptor(key: StoredKey) -> PublicKeyCredentialDescriptor:
    known = {item.value for item in AuthenticatorTransport}
    transports = [AuthenticatorTransport(name) for name in key.transports.split(",") if name in known]
    return PublicKeyCredentialDescriptor(id=base64url_to_bytes(key.credential_id), transports=transports or None)
