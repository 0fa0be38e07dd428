"""`python -m fittingroom`: the command line."""

from fittingroom.cli.main import main

main()
