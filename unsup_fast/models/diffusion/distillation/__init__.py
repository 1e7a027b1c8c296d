"""Students that need few steps: progressive distillation and consistency models."""
