"""`python -m neurolake` is the `neurolake` command."""

from neurolake.cli import main

main()
