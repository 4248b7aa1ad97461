"""Sources of problems, one module each: plain arguments in, `data.records.Problem` out."""
