"""What the dialects promise outside, and proof that it is kept."""
