"""Settings: what a person may set, where each value came from, and what a child gets."""
