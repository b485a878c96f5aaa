"""`python -m kerassl`, the same as the `kerassl` command."""

import sys

from kerassl.experiment.cli import main

sys.exit(main())
