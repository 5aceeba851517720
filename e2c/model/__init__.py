"""The nouns: immutable values that pass between the rooms."""
