"""Published weights: found, read without their framework, and put into the networks of this package."""
