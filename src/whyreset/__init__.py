"""Why a Linux host sends TCP resets, who sent them, and what to do about it."""

__version__ = "0.1.0"
