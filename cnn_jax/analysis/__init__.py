"""What a network sees, as figures: pure functions of an apply function, its variables and images; nothing is drawn."""
