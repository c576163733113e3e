"""The command `doctor`: checks a deployment and says what to do, one module an area of checks."""
