"""Abstract benchmark classes; `bench.softmax` and `bench.argmax` make asv's of them."""
