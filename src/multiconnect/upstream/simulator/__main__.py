"""`python -m multiconnect.upstream.simulator`."""

import sys

from multiconnect.upstream.simulator.process import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
