"""Our sides of the comparisons, in the same conversation as the peers'; they use the engine as everybody else does."""
