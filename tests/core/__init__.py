"""Tests of the compiled core, most of them without a kernel."""
