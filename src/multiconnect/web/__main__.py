"""`python -m multiconnect.web`: one Web process, started by a supervisor."""

from __future__ import annotations

from multiconnect.supervisor.child import serve_child
from multiconnect.web.process import run

if __name__ == "__main__":
    serve_child(run)
