"""What a formula says: one spelling (notation), its value (reading), and whether two values are the same (sameness, identity)."""
