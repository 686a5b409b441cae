"""What training minimises and how: losses, optimizers, schedules."""
