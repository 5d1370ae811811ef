"""What touches the world on behalf of workflows; everything here may run twice, and carries an identity for it."""
