"""The plugins of the workspace's tests."""

pytest_plugins = [
    "usual_signals",
    "migration_scripts",
    "every_event_is_valid",
    "golden",
    "receiver",
    "command_line",
    "orders_home",
]
