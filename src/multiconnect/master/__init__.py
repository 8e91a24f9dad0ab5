"""The process that decides: gather, decide, perform."""
