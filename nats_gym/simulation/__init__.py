"""The time of a search: ``schedule`` reads epochs, ``clock`` adds up seconds, ``workers`` evaluate
beside each other."""
