"""`python -m cacher`: the same as the command `watchcache`."""

import sys

from ._cli import main

if __name__ == "__main__":
    sys.exit(main())
