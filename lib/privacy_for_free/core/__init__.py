"""What everything stands on, with torch alone: devices, randomness, compiling, checkpoints, progress."""
