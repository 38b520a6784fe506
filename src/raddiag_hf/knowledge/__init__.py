"""What the words mean: labels, their codes and definitions; no pixels."""
