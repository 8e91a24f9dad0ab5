"""The connector to WhatsApp's Cloud API, and to anything that speaks it.

Only `client` does I/O; `codec`, `body`, `errors` and `throttle` are pure and may be used alone.
"""
