"""Sample pictures for a first result: photos from installed packages, styles painted by our own code."""
