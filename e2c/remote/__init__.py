"""The only door to hosts: commands over ssh and plays through Ansible."""
