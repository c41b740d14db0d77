"""The life of an SRP run: score, select, freeze and shrink, cut."""
