"""Writing models for other programs to run."""
