"""The workers: each looks, decides and acts once per `run_once()`, and leaves repeating to the loop above it."""
