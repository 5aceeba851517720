"""Captured provenance in the forms that other tools read."""
