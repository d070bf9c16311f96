"""What users hold and what runs: Model, Interpreter, sessions, instances, state, threads, the evaluator."""
