"""Products with removed weights left out, on CPUs: compressed sparse rows (CSR) instead of dense matrices."""
