"""What may spoil a model in a data set: broken files, copies, leaks, odd pictures, likely wrong labels."""
