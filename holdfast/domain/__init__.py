"""Pure rules and data: no I/O, no clock, no environment. Import the modules, not the package."""
