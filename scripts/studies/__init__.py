"""Small experiments on what networks learn, each of several seeds: trained, measured, and set beside what is known."""
