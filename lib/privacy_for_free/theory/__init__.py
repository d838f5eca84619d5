"""What the proofs say, as functions: closed forms, bounds and the simulations that check them."""
