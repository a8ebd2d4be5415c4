"""What is wrong with a data set: damaged files, near duplicates, shortcuts."""
