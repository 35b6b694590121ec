"""Test double of rknn-toolkit2."""
