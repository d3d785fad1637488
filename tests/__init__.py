"""Tests, in packages that mirror the source; `hosts` makes real resets in network namespaces."""
