"""Where objects are kept: Storage.Interface, and the stores behind it."""
