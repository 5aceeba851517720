"""From messages to rows: the translator and the one writer."""
