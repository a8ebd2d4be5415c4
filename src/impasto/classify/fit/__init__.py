"""Teaching networks: gradient descent on pictures or features, and the head that is solved for."""
