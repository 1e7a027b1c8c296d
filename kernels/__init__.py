"""One folder per hot operation: contract, reference and fast implementations."""

if __name__ != "unsup_fast.kernels":
    raise ImportError(
        f"this package was imported as {__name__!r}; install unsup-fast and "
        "import it as 'unsup_fast.kernels'"
    )
