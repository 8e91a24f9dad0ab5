"""A server that speaks the Cloud API's send endpoint and counts what really arrived.

What it counts is the measure of every promise this project makes: lost, repeated, out of order.
`simulation` and all below it is pure; `server`, `webhooks` and `process` are the shells.
"""
