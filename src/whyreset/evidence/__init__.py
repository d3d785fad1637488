"""What is kept to prove what was said: packets with the reasons beside them."""
