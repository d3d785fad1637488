"""What observes: the kernel's events and counters."""
