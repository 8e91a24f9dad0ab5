"""Mutual TLS for lanes: each end has a certificate of the cluster's own CA, and asks for one.

Whose certificate it is: the CA signs for one cluster and nobody else; an owner's certificate names
the address it is reached under; where certificates say what they are for (extended key usage), a
router's is good for clients only, so it cannot pose as an owner.
"""

from __future__ import annotations

import ssl

from multiconnect.errors import InvalidSettings
from multiconnect.model.lane_credentials import LaneCredentials


def router_context(credentials: LaneCredentials) -> ssl.SSLContext:
    """Return what a router connects with; raise InvalidSettings when a file is of no use."""
    return _loaded(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), credentials)


def owner_context(credentials: LaneCredentials) -> ssl.SSLContext:
    """Return what an owner listens with; raise InvalidSettings when a file is of no use."""
    return _loaded(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), credentials)


def _loaded(context: ssl.SSLContext, credentials: LaneCredentials) -> ssl.SSLContext:
    # Both ends are ours: nothing older is ever needed.
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_mode = ssl.CERT_REQUIRED
    try:
        context.load_verify_locations(credentials.tls_ca)
        context.load_cert_chain(credentials.tls_cert, credentials.tls_key)
    except (OSError, ssl.SSLError) as error:
        raise InvalidSettings(
            f"lane_tls_cert {credentials.tls_cert!r}, lane_tls_key {credentials.tls_key!r} and "
            f"lane_tls_ca {credentials.tls_ca!r} cannot be used: {error}; expected this host's "
            "certificate, its key and the cluster's CA as PEM files"
        ) from error
    return context
