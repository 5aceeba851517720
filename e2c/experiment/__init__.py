"""Stage manager: takes a plan through its phases and remembers what was done."""
