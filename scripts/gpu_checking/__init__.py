"""What ``scripts/gpu_check.py`` proves, measures and writes."""
