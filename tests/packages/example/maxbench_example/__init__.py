"""A third party's softmax for maxbench."""
