"""`python -m kerassl`, the same as the `kerassl` command."""

import sys

from kerassl.cli.main import main

sys.exit(main())
