"""The tests, by room: a test is a sentence, and alice, bob and charlie are the cast."""
