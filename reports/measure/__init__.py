"""Starts and steers measuring processes, and writes down what they measured."""
