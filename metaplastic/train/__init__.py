"""Training of one network design with one rule."""
