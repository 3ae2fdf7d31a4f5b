"""Softmax implementations; `impls.contract.softmax` states what they must do."""
