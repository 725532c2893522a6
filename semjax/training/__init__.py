"""training: examples made by the real coders, losses, stages, and the loop that survives being killed."""
