"""The October 2025 incident on real sockets, twice at once: two sides that differ in nothing but their `Guards`."""
