"""The table: every request this server answers, who may make it, and what comes back."""

from __future__ import annotations

from typing import Final

from multiconnect.limits import HTTP_BATCH_BODY_BYTES_MAX, HTTP_WEBHOOK_BODY_BYTES_MAX
from multiconnect.web.handlers import (
    batches,
    health,
    messages,
    metrics,
    probes,
    root,
    sessions,
    settings,
    shards,
    users,
    webhooks_in,
)
from multiconnect.web.principal import Access
from multiconnect.web.routing import Route

_PUBLIC, _TOKEN, _ADMIN = Access.PUBLIC, Access.TOKEN, Access.ADMIN
_SETTINGS: Final = "/v1/settings/application"
_IDEMPOTENCY: Final = {
    "Idempotency-Key": "Up to 255 bytes; the same key and body get the first answer again."
}
_VERIFICATION: Final = {
    "hub.mode": "subscribe",
    "hub.verify_token": "As agreed.",
    "hub.challenge": "Sent back.",
}

ROUTES: Final = (
    # --- messages ----------------------------------------------------------------------------
    Route(
        "POST",
        "/v1/messages",
        messages.post,
        _TOKEN,
        "Send a message; answered once durable",
        "Message",
        {201: "Messages"},
        parallel=True,
        header=_IDEMPOTENCY,
    ),
    Route(
        "POST",
        "/v1/messages/batch",
        batches.post,
        _TOKEN,
        "Send many: NDJSON or a JSON array; a line of outcome for each",
        "Batch",
        {201: "Outcome", 200: "Outcome"},
        HTTP_BATCH_BODY_BYTES_MAX,
    ),
    Route(
        "PUT",
        "/v1/messages/{id}",
        messages.put,
        _TOKEN,
        "Mark a received message as read",
        "Read",
        {200: "Messages"},
    ),
    # --- the account -------------------------------------------------------------------------
    Route(
        "GET",
        "/v1/account/shards",
        shards.get,
        _TOKEN,
        "How many shards are in force",
        answers={200: "Shards"},
    ),
    Route(
        "POST",
        "/v1/account/shards",
        shards.post,
        _ADMIN,
        "Set the number of shards; answered once in force",
        "SetShards",
        {201: "Empty"},
    ),
    Route("GET", _SETTINGS, settings.get, _ADMIN, "Show the settings", answers={200: "Settings"}),
    Route(
        "PATCH",
        _SETTINGS,
        settings.patch,
        _ADMIN,
        "Change settings",
        "SomeSettings",
        {200: "Empty"},
    ),
    Route(
        "DELETE",
        _SETTINGS,
        settings.delete,
        _ADMIN,
        "Go back to the defaults",
        answers={200: "Empty"},
    ),
    # --- users -------------------------------------------------------------------------------
    Route(
        "POST",
        "/v1/users/login",
        sessions.log_in,
        Access.BASIC,
        "Get a token for seven days",
        "Login",
        {200: "Tokens"},
    ),
    Route(
        "POST",
        "/v1/users/logout",
        sessions.log_out,
        _TOKEN,
        "Make the token void",
        answers={200: "Empty"},
    ),
    Route("GET", "/v1/users", users.listing, _ADMIN, "List the users", answers={200: "Users"}),
    Route("POST", "/v1/users", users.create, _ADMIN, "Create a user", "NewUser", {201: "Users"}),
    Route("GET", "/v1/users/{name}", users.get, _TOKEN, "Show a user", answers={200: "Users"}),
    Route(
        "PUT",
        "/v1/users/{name}",
        users.put,
        _TOKEN,
        "Change a password",
        "Password",
        {200: "Users"},
    ),
    Route(
        "DELETE", "/v1/users/{name}", users.delete, _ADMIN, "Delete a user", answers={200: "Users"}
    ),
    # --- Meta's webhooks ---------------------------------------------------------------------
    Route(
        "GET",
        "/webhooks/whatsapp",
        webhooks_in.verify,
        _PUBLIC,
        "Verify the webhook's URL",
        answers={200: "text/plain"},
        query=_VERIFICATION,
    ),
    Route(
        "POST",
        "/webhooks/whatsapp",
        webhooks_in.receive,
        Access.SIGNATURE,
        "Take statuses and messages; answered once durable",
        "Webhook",
        {200: "Empty"},
        HTTP_WEBHOOK_BODY_BYTES_MAX,
    ),
    # --- operations --------------------------------------------------------------------------
    Route(
        "GET",
        "/v1/health",
        health.get,
        Access.APIKEY,
        "Role and connection of every node",
        answers={200: "Health"},
    ),
    Route(
        "GET", "/livez", probes.live, _PUBLIC, "Whether the process lives", answers={200: "Alive"}
    ),
    Route(
        "GET",
        "/readyz",
        probes.ready,
        _PUBLIC,
        "Whether it can store messages, or why not",
        answers={200: "Ready", 503: "Ready"},
    ),
    Route(
        "GET",
        "/metrics",
        metrics.get,
        _PUBLIC,
        "Figures for Prometheus",
        answers={200: "text/plain"},
    ),
    Route(
        "GET",
        "/openapi.json",
        root.openapi,
        _PUBLIC,
        "This document",
        answers={200: "application/json"},
    ),
    Route(
        "GET", "/", root.get, _PUBLIC, "The cluster's state as a page", answers={200: "text/html"}
    ),
)
