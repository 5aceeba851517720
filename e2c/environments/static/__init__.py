"""Any machines that answer to ssh."""
