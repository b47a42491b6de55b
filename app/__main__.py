"""`python -m app` is the command line."""

import os

from app.cli import main

# What any of its commands writes, the database first of all, is for who runs the server alone.
os.umask(0o077)
main(prog_name="python -m app")
