"""How times are written, by two clocks that are not read at once."""

from gollamas.observe.moment import Moment, SteadyClock

NOON = 1_796_040_000.0  # 2026-11-30T12:00:00Z


def test_a_moment_is_written_alike_whenever_it_is() -> None:
    """The two clocks are read one after the other, so what lies between them differs a little each time."""
    times = iter([Moment(100.0, NOON), Moment(107.0, NOON + 7.0009), Moment(107.0, NOON + 6.9991)])
    clock = SteadyClock(lambda: next(times))
    assert {clock().when(50.0004) for _ in range(3)} == {"2026-11-30T11:59:10.000Z"}


def test_a_clock_that_is_set_is_believed() -> None:
    times = iter([Moment(100.0, NOON), Moment(101.0, NOON + 3601)])
    clock = SteadyClock(lambda: next(times))
    assert [clock().when(100.0) for _ in range(2)] == ["2026-11-30T12:00:00.000Z", "2026-11-30T13:00:00.000Z"]
