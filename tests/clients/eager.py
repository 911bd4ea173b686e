"""The program, five times as eager: `python -P tests/clients/eager.py WORD...`.

Tests of three servers wait for the next look at one, and for the next line of a progress, several times each.
The servers that they simulate are as much quicker at pulling.
"""

import sys

from gollamas.background import prober
from gollamas.cli.main import main
from gollamas.fleet import progress

for _module in (prober, progress):
    vars(_module)["_GAP"] /= 5

sys.exit(main())
