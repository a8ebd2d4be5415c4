"""Pictures that a network makes much of: DeepDream, and what a single channel or class answers to."""
