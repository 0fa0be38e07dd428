"""Headers that every answer has: what a browser may do with it."""

from collections.abc import Mapping

# An answer of the API is data. If a browser shows one (a picture, a text), it loads nothing and stands in no frame;
# SVG brings its own styles.
_DATA_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

SECURITY_HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": _DATA_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}
"""An answer that sets one of them itself, as a page does its policy, keeps that."""


def page_policy(script_sources: str, image_sources: str) -> str:
    """Return the Content-Security-Policy of a page of this service: its own scripts, and connections to itself alone.

    Args:
        script_sources: where scripts may come from.
        image_sources: where pictures may come from.
    """
    # plotly.js and Swagger UI write styles of their own.
    return (
        f"default-src 'none'; script-src {script_sources}; connect-src 'self'; style-src 'self' 'unsafe-inline'; "
        f"img-src {image_sources}; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    )
