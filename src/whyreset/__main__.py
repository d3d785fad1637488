"""`python -m whyreset`."""

from whyreset.cli import main

main()
