"""Argmax implementations; `impls.contract.argmax` states what they must do."""
