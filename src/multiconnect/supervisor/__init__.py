"""The parent of one host's processes: starts, watches, kills, reports."""
