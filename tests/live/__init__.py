"""Tests of the command against real resets in real network namespaces."""
