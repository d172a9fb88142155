"""The compiled core. Docstrings stand on the Rust side; `hmem_fast.core` gives the public names."""
