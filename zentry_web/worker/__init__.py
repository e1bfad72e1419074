"""The background process: does operations, reconciles, samples, bills. Everything that talks to the hypervisor."""
