"""What a store takes: to write, to open, to hold, to follow."""
