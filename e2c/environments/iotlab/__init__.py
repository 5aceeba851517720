"""FIT IoT-LAB: A8 and Raspberry Pi nodes as hosts, all others as boards that run a firmware."""
