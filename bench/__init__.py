"""The figures to reach, of our server and of its peers side by side: `python -m bench --help`."""
