"""Workers that meet a fault, under the service's own supervisor: `python -m tests.faults.supervised FAULT`."""

import sys

from app import supervisor

supervisor.LONGEST_PAUSE_SECONDS = 1.0
supervisor.Supervisor({"worker": ["tests.faults.worker", sys.argv[1]]}).run()
