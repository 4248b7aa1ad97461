"""Honest numbers: pure statistics over scores, every number with an interval from a bootstrap clustered by problem.

scores ── cells ── bootstrap ── compare ── choose
"""
