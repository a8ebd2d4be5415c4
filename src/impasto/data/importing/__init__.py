"""Archives, folders and tables of others made into one labelled folder."""
