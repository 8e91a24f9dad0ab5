"""Frozen values that both planes speak of; no I/O, no clock, no behaviour beyond themselves."""
