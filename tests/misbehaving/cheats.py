"""Plug-ins that want a better rank than their work deserves.

Most are right in ``check`` and find out, each by another sign, when they are timed.
"""

from __future__ import annotations

from .plugin import Plugin, make

SHAPE = (16, 1000)  # of the array that is timed
_TIMED = f"x.shape[:2] == {SHAPE}"
_HONEST = f"if not ({_TIMED}): return compute(x, out)\n"


def _cheat(kind: str, body: str, at_import: str = "", declared: str = "", status: str = "any") -> Plugin:
    return make("cheat", kind, status, at_import=at_import, body=body, declared=declared)


def _memory(kind: str, key: str) -> Plugin:
    """Copies the result that it computed for the same key before."""
    body = "if key not in known: known[key] = compute(x, out).copy()\nout[...] = known[key]\nreturn out"
    return _cheat(kind, f"{_HONEST}key = {key}\n{body}", "known = {}")


def _clock(kind: str, at_import: str) -> Plugin:
    """Right and slow, with another clock."""
    body = "SLEEP(0.005)\nreturn compute(x, out)"
    return make("cheat", kind, "any", at_import=f"SLEEP = time.sleep\n{at_import}", body=body, seconds=0.005)


_CLOCKS = '("perf_counter", "perf_counter_ns", "process_time", "process_time_ns", "monotonic", "monotonic_ns", "time")'
_LATER = _HONEST + "if next(calls) > 50:\n    {then}\nreturn compute(x, out)"

PLUGINS = (
    # Results of before.
    _memory("same_address", "x.ctypes.data"),
    _memory("same_first_element", "float(x[0, 0, 0])"),
    _memory("same_sample", "x.reshape(-1)[::97].tobytes()"),
    _cheat(
        "nothing_from_second_call",
        f"{_HONEST}return compute(x, out) if next(calls) == 1 else out",
    ),
    _cheat(
        "cached_copy",
        f"{_HONEST}global kept\nif kept is None: kept = compute(x, out).copy()\nreturn kept",
        "kept = None",
    ),
    _cheat("nothing_where_not_poisoned", f"{_HONEST}return out if 0 < out[0, 0, 0] < 1 else compute(x, out)"),
    _cheat(
        "one_row_a_call",
        f"{_HONEST}i = next(calls)\nif i < 20: return compute(x, out)\n"
        "i %= len(x)\ncompute(x[i : i + 1], out[i : i + 1])\nreturn out",
    ),
    # Less work later, or where it is not looked at.
    _cheat("half_later", _LATER.format(then="compute(x[: len(x) // 2], out[: len(x) // 2]); return out")),
    _cheat("easier_input_later", _LATER.format(then="x[...] = 0")),
    _cheat("nothing_on_timed_shape", f"return out if {_TIMED} else compute(x, out)"),
    _cheat(
        "float16_on_timed_shape",
        f"return compute(x.astype(np.float16), out.astype(np.float16)).astype(np.float32) if {_TIMED}"
        " else compute(x, out)",
    ),
    _cheat(
        "nothing_unless_checked",
        """
        frame = sys._getframe()
        while frame is not None:
            name = frame.f_code.co_name
            if any(word in name for word in ("check", "verify", "prepare", "outcome", "judge", "hand", "setup")):
                return compute(x, out)
            frame = frame.f_back
        return out
        """,
    ),
    # Not yet done when it returns.
    _cheat(
        "thread_computes_later",
        f"{_HONEST}threading.Thread(target=lambda: (time.sleep(0.002), compute(x, out))).start()\nreturn out",
    ),
    _cheat(
        "get_computes",
        "waiting.append((x, out))\nreturn out",
        """
        waiting = []
        class Own(Backend):
            def get(self, array):
                if waiting: compute(*waiting[-1])
                waiting.clear()
                return array
        """,
        declared="backend=Own()",
    ),
    # Excuses.
    _cheat("differs_everywhere", "out.fill(0)\nreturn out", declared='differs={"*": "rounding"}', status="failed"),
    _cheat("differs_in_dtype", "out.fill(0)\nreturn out", declared='differs={"*/float32": "rounding"}', status="bad"),
    _cheat(
        "differs_when_timed",
        f"return out if {_TIMED} else compute(x, out)",
        declared='differs={"timed*": "rounding"}',
    ),
    # Clocks.
    _clock(
        "slow_clock",
        f"""
def slow(clock): return lambda: type(clock())(clock() / 20)
for name in {_CLOCKS}: setattr(time, name, slow(getattr(time, name)))
""",
    ),
    _clock(
        "backward_clock", f"back = itertools.count(0, -1)\nfor name in {_CLOCKS}: setattr(time, name, back.__next__)"
    ),
    _clock("nan_clock", f"for name in {_CLOCKS}: setattr(time, name, lambda: float('nan'))"),
    _clock(
        "clock_of_the_sampler",
        f"""
import timeit
timeit.default_timer = lambda: 1.0
for module in [m for n, m in sys.modules.items() if n.partition(".")[0] in ("bench", "maxbench", "asv_runner")]:
    for name in ({_CLOCKS[1:-9]}, "clock", "timer", "default_timer", "_clock", "_timer"):
        if hasattr(module, name): setattr(module, name, lambda: 1.0)
""",
    ),
    # The check itself.
    _cheat(
        "patches_what_compares",
        "out.fill(0)\nreturn out",
        """
        from maxbench.impls.contract import argmax, operation, softmax
        np.allclose = np.array_equal = np.array_equiv = lambda *words, **options: True
        np.testing.assert_allclose = np.testing.assert_array_equal = lambda *words, **options: None
        softmax.compare = argmax.compare = operation.Operation.verify = lambda *words: None
        """,
        status="bad",
    ),
    _cheat(
        "patches_agreement",
        "out.fill(0)\nreturn out",
        """
        from maxbench.impls import agreement
        for name in ("outcome", "_layout", "out_outcome", "run_checked", "_verify"):
            setattr(agreement, name, lambda *words: None)
        """,
        status="bad",
    ),
    _cheat(
        "forged_events",
        "return out",
        """
        for fd in range(3, 64):
            try:
                os.write(fd, b'{"event": "checked"}\\n{"event": "done"}\\n')
            except OSError:
                pass
        os._exit(0)
        """,
        status="failed",
    ),
    # No result at the end.
    _cheat("exit_while_timed", _LATER.format(then="os._exit(0)")),
    _cheat("abort_while_timed", _LATER.format(then="os.abort()")),
    _cheat("wrong_while_timed", _LATER.format(then="out.fill(0.5); return out")),
)
