"""Netdata's simple patterns: * stands for any text, a leading ! refuses, and the first that fits decides."""

from __future__ import annotations

from collections.abc import Iterable


def accepts(words: Iterable[str], text: str) -> bool:
    """Whether the first word that fits this text lets it through; False where none fits."""
    for word in words:
        if fits(word.removeprefix("!"), text):
            return not word.startswith("!")
    return False


def fits(pattern: str, text: str) -> bool:
    """Whether a text is what a pattern describes; never slow, whatever the pattern."""
    first, *rest = pattern.split("*")
    if not rest:
        return text == first
    *middle, last = rest
    if not text.startswith(first):
        return False
    at = len(first)
    for part in middle:
        found = text.find(part, at)
        if found < 0:
            return False
        at = found + len(part)
    return len(text) - at >= len(last) and text.endswith(last)
