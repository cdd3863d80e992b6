"""What is measured: `make bench`. Figures are of the machine that they were taken on; compare them within one run."""
