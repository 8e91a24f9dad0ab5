"""One module per resource: a request in, an answer out; no sockets, no SQL, no door policy."""
