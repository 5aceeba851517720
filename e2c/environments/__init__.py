"""Testbeds: adapters that acquire hosts and release them."""
