"""What is known of each architecture: read-only columns, each with its provenance."""

from nats_gym.tables.column import MEASURED, NO_TEST, SURROGATE, Column
from nats_gym.tables.devices import device_latency, known_devices
from nats_gym.tables.folder import write_table
from nats_gym.tables.load import load_table
from nats_gym.tables.named_columns import add_column, known_figures, remove_column
from nats_gym.tables.surrogates import VERSION as SURROGATE_VERSION
from nats_gym.tables.table import Table, embedded_folder

__all__ = [
    "MEASURED",
    "NO_TEST",
    "SURROGATE",
    "SURROGATE_VERSION",
    "Column",
    "Table",
    "add_column",
    "device_latency",
    "embedded_folder",
    "known_devices",
    "known_figures",
    "load_table",
    "remove_column",
    "write_table",
]
