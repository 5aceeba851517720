"""EnOSlib at work, in a process of its own that can be bounded and stopped."""
