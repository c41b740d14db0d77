"""Channel permutation for N:M sparsity: another order of coupled units, the same function, larger weights kept."""
