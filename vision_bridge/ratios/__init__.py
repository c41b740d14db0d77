"""Which layer loses how much: the grammars of GReg's original, and targets in MACs or parameters."""
