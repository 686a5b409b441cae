"""What a unit can see of the image (theoretical), and what it does see (effective)."""
