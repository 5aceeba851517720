"""What plugins of a folder share."""


def neighbour(place, size):
    return (place + 1) % size
