"""Speed, with the answers checked."""
