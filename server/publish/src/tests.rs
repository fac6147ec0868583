//! Whole ceremonies through `lazaret-keys`, published and read by tough.
