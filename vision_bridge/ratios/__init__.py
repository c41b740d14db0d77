"""The fraction that each layer loses: GReg's grammar, and fractions inherited from another run."""
