"""Separator, index codes and associator beside numpy."""
