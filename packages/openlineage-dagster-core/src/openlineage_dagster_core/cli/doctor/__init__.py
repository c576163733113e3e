"""The command `doctor`: checks a deployment, one module for each area of checks."""
