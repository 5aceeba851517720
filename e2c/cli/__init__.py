"""The front desk: commands, and the only room that prints."""
