"""Emulated links: planned rules become constraints, are applied to hosts, and are measured."""
