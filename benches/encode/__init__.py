"""The core's encoder beside others: speed, fidelity, start, and a recall with it."""
