"""What is deployed on hosts beside the user's application."""
