"""Channel permutation for N:M sparsity: reordering coupled units keeps the function, but larger weights are kept."""
