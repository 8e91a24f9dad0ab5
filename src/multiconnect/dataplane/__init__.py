"""Bytes, hot: from a recipient to an acknowledgement. Knows nothing of who decides."""
