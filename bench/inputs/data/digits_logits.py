"""Makes digits_logits.npy: a linear classifier's scores (logits) of handwritten digits.

Data: the test set of the Optical Recognition of Handwritten Digits of the UCI Machine Learning Repository, as
scikit-learn bundles it (1,797 images of 8 x 8 pixels; CC BY 4.0). Each image is scored by a classifier that was
trained on the other nine tenths of them.

Run ``python -m maxbench.bench.inputs.data.digits_logits`` with scikit-learn installed (``pip install '.[data]'``).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np


def logits() -> np.ndarray:
    """Scores of shape (1797, 10), float32: one row an image, one column a digit."""
    from sklearn.datasets import load_digits
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    images, digits = load_digits(return_X_y=True)
    classifier = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    scores = cross_val_predict(classifier, images, digits, cv=10, method="decision_function")
    return np.asarray(scores, np.float32)


def main() -> None:
    """Write the file beside this module."""
    np.save(Path(__file__).with_suffix(".npy"), logits())


if __name__ == "__main__":
    main()
