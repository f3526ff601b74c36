"""Deploys manifests/ to a cluster, pushes commits, watches what happens, and says how it went: see notebooks/."""
