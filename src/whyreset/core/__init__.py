"""The compiled core: bounded in memory, bounds-checked, no decisions."""
