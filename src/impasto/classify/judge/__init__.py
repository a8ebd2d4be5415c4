"""How good a classifier is, how sure it may be of it, and against which other one."""
