"""Tests of the vendor adapters, against real servers."""
