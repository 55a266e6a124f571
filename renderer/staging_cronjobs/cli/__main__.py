"""`python -m staging_cronjobs.cli`: the program without its console script."""

from . import main

main()
