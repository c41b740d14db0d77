"""The best one-to-one assignment: Hungarian method with shortest augmenting paths (Jonker & Volgenant 1987)."""

import numpy as np


def best_matching(value):
    """Assign columns to rows so that the sum of their values is largest.

    Args:
        value: float64 [size, size].

    Returns:
        int64 [size], the column of each row.
    """
    cost = value.max() - value
    cost -= cost.min(0)
    cost -= cost.min(1, keepdims=True)
    column, row = _match_free(cost)
    rows_price, columns_price = np.zeros(len(cost)), np.zeros(len(cost))
    for start in np.flatnonzero(column < 0):
        last, before = _shortest_path(cost, start, row, rows_price, columns_price)
        while last >= 0:  # turn the path around
            i = before[last]
            row[last] = i
            column[i], last = last, column[i]
    return column


def _match_free(cost):
    """Give each row the first free column that costs nothing; (column of each row, row of each column), -1 for none."""
    column, row = np.full(len(cost), -1), np.full(len(cost), -1)
    for i, cheap in enumerate(cost <= 0):
        free = np.flatnonzero(cheap & (row < 0))
        if len(free):
            column[i], row[free[0]] = free[0], i
    return column, row


def _shortest_path(cost, start, row, rows_price, columns_price):
    """Dijkstra from a row to the nearest free column; updates the prices.

    Returns:
        (that column, the row before each column on its shortest path).
    """
    distance, before = np.full(len(cost), np.inf), np.full(len(cost), start)
    price = columns_price.copy()
    i, reached, passed, at = start, 0.0, [], []
    while True:
        through = cost[i] - price
        through += reached - rows_price[i]
        before[through < distance] = i
        np.minimum(distance, through, out=distance)
        last = int(distance.argmin())
        reached = distance[last]
        if row[last] < 0:
            break
        passed.append(last)
        at.append(reached)
        distance[last], price[last] = np.inf, -np.inf  # not again
        i = row[last]
    shorter = reached - np.array(at)
    rows_price[start] += reached
    rows_price[row[passed]] += shorter
    columns_price[passed] -= shorter
    return last, before
