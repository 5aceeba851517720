"""Plans a deployment: from what was read to hosts, links and plays. Pure."""
