"""Logs and metrics: no secret, token, PIN or whole phone number passes here (invariant 17)."""
