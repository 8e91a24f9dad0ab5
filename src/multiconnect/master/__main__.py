"""`python -m multiconnect.master`: started by a supervisor, which passes the settings."""

from multiconnect.master.process import run
from multiconnect.supervisor.child import serve_child

if __name__ == "__main__":
    serve_child(run)
