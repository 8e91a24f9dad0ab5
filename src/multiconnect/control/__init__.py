"""Decisions, cold: pure functions over snapshots. No I/O, no clock, no randomness."""
