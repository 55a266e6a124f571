"""Run several versions of one dataset side by side on Kubernetes."""

__version__ = "0.1.0"
