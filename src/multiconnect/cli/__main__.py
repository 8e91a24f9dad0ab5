"""`python -m multiconnect.cli`."""

import sys

from multiconnect.cli import main

if __name__ == "__main__":
    sys.exit(main())
