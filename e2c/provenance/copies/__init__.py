"""The whole database in files, and back."""
