"""The provenance service on the command line: one module per group of subcommands."""
