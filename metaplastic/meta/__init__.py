"""Meta-gradients, one file an estimator: how many lifetimes improve what a lifetime starts from."""
