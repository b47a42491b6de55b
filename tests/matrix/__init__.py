"""Who may do what: every route of the URL map, asked by everybody. See `test_matrix.py`."""
