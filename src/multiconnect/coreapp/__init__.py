"""The process that owns slots: intake, log, dispatch."""
