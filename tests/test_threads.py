import threading
import time

import pytest

from semjax._threads import in_order


@pytest.mark.parametrize(("workers", "ahead"), [(1, 1), (1, 3), (2, 2), (4, 9)])
def test_results_come_in_order(workers, ahead):
    def late(n):
        time.sleep(0.002 * (n % 3))
        return n * n

    assert list(in_order(late, range(20), workers, ahead)) == [n * n for n in range(20)]
    assert list(in_order(late, [], workers, ahead)) == []


def test_items_are_read_no_further_than_asked():
    read = []
    items = (read.append(n) or n for n in range(100))
    results = in_order(lambda n: n, items, workers=2, ahead=3)
    assert next(results) == 0 and read == [0, 1, 2, 3]
    assert next(results) == 1 and read == [0, 1, 2, 3, 4]
    results.close()


def test_one_worker_takes_one_at_a_time_while_the_caller_goes_on():
    inside, seen, mine = [], [], threading.get_ident()

    def take(n):
        assert not inside and threading.get_ident() != mine
        inside.append(n)
        time.sleep(0.001)
        inside.pop()
        seen.append(n)

    list(in_order(take, range(10), workers=1, ahead=4))
    assert seen == list(range(10))


def test_an_error_is_raised_where_its_result_would_have_come():
    results = in_order(lambda n: 1 // n, [1, 0, 1])
    assert next(results) == 1
    with pytest.raises(ZeroDivisionError):
        next(results)
    with pytest.raises(StopIteration):
        next(results)
