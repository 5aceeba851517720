"""Dataflows: declared, kept in versions, and the tables that hold their sets."""
