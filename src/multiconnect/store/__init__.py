"""The store port and its implementations; nothing above the port may know which one it is."""
