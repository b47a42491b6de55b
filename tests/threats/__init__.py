"""What the threats paper asks, as tests: each module names its sections."""
