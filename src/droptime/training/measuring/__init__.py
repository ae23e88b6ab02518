"""What a run measures: its images, and its gradients."""
