"""What becomes of a pruned checkpoint before it is used."""
