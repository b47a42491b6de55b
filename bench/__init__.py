"""The figures to reach, measured on a running server and, side by side, on its peers: `python -m bench --help`."""
