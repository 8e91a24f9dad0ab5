"""Where messages go: one port, several connectors."""
