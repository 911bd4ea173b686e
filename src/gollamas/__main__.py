"""`python -m gollamas`."""

import sys

from gollamas.cli.main import main

sys.exit(main())
