"""The fraction that each layer loses: the grammars of GReg's original, and inherited ratios."""
