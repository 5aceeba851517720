"""Reads a scenario: YAML files to frozen models, or to every problem with its place."""
