"""Tests on other kernels than the one that runs here."""
