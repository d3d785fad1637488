"""Tests of what is kept as evidence."""
