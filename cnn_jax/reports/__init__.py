"""A run explained: its parts run analyses on it and draw them, and one page shows all of them."""
