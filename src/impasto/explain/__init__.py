"""What a network looks at: activations, attribution maps and whether they can be believed."""
