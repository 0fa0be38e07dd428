"""Webhook that is called when an experiment has ended.

The address is checked when it is called, not at submit.
"""

import base64
import binascii
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator

from fittingroom.specs.base import Spec, Visible

PREFIX = "whsec_"
_LEAST_BYTES, _MOST_BYTES = 24, 64  # as Standard Webhooks asks


class Webhook(Spec):
    """Webhook called at the end of the experiment, signed as in Standard Webhooks (standardwebhooks.com)."""

    url: Annotated[str, Field(min_length=1, max_length=2_000, json_schema_extra={"format": "uri"}), Visible()]
    """`https` URL outside private networks. It receives a POST; without a 2xx it is retried, 9 attempts in 41 hours."""
    secret: SecretStr = Field(json_schema_extra={"examples": ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"]})
    """Signing secret: `whsec_` and 24 to 64 random bytes in base64. Write-only: it is never returned."""

    @field_validator("url")
    @classmethod
    def _is_an_address(cls, url: str) -> str:
        try:
            parts = urlsplit(url)
            host, _ = parts.hostname, parts.port
            ascii_host = (host or "").encode("idna").decode()
        except ValueError:
            raise ValueError("expected an address such as https://example.org/hook") from None
        if parts.scheme not in {"https", "http"} or not ascii_host or not url.isascii() or " " in url:
            raise ValueError("expected an address such as https://example.org/hook")
        if parts.username is not None or parts.password is not None:
            raise ValueError("the URL must not contain a user name or password; deliveries are signed instead")
        return url

    @field_validator("secret")
    @classmethod
    def _is_long_enough(cls, secret: SecretStr) -> SecretStr:
        text = secret.get_secret_value()
        try:
            key = base64.b64decode(text.removeprefix(PREFIX), validate=True)
        except (binascii.Error, ValueError):
            key = b""
        if not text.startswith(PREFIX) or not _LEAST_BYTES <= len(key) <= _MOST_BYTES:
            raise ValueError(f"expected {PREFIX} and {_LEAST_BYTES} to {_MOST_BYTES} bytes in base64")
        return secret
