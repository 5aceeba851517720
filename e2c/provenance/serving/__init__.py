"""The process tree: broker, database and translator, supervised."""
