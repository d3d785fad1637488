"""A fuzz target for the compiled core: captures of any bytes. `make fuzz` builds and runs it."""
