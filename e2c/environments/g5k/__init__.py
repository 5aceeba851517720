"""Grid'5000, through EnOSlib."""
