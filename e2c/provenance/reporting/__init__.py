"""What a service says of itself: status, figures, where it listens."""
