"""Alerts are pure: these tests need neither kernel nor clock."""
