"""Plug-ins that misbehave when they are called."""

from __future__ import annotations

from .plugin import EXIT, OUTPUT, TIME, Plugin, make

_BLOCK = "signal.pthread_sigmask(signal.SIG_BLOCK, range(1, signal.NSIG))"


def _kind(kind: str, statements: str, status: str, reason: str = "", declared: str = "") -> Plugin:
    """Statements before the result is computed."""
    return make("call", kind, status, reason, body=f"{statements}\nreturn compute(x, out)", declared=declared)


def _result(kind: str, body: str, status: str = "bad", reason: str = "", at_import: str = "") -> Plugin:
    """The whole body of the kernel."""
    return make("call", kind, status, reason, body=body, at_import=at_import)


def _backend(kind: str, members: str, reason: str = "", status: str = "bad") -> Plugin:
    at_import = f"class Own(Backend):\n    {members}"
    return make("call", kind, status, reason, at_import=at_import, declared="backend=Own()")


PLUGINS = (
    # Exceptions.
    _kind("raises", 'raise ValueError("broken on purpose")', "failed", "ValueError: broken on purpose"),
    _kind("system_exit_0", "raise SystemExit(0)", "failed", EXIT),
    _kind("keyboard_interrupt", "raise KeyboardInterrupt", "failed", "KeyboardInterrupt"),
    _kind("str_raises", "raise Odd", "failed", "Odd"),
    _kind("base_exception", "class Unusual(BaseException): pass\nraise Unusual", "failed", "Unusual"),
    _kind("long_message", 'raise ValueError("x" * 10_000_000)', "failed", "ValueError: x"),
    _kind("escapes_in_message", r'raise ValueError("\x1b[2J\x1b]0;title\x07 red\nsecond")', "failed", "ValueError"),
    _kind("recursion", "def f(): f()\nf()", "failed", "RecursionError"),
    # Ends of the process.
    _kind("os_exit_0", "os._exit(0)", "failed", EXIT),
    _kind("os_exit_7", "os._exit(7)", "failed", r"\b7\b"),
    _kind("abort", "os.abort()", "failed", "SIGABRT"),
    _kind("segfault", "ctypes.string_at(0)", "failed", "SIGSEGV"),
    _kind(
        "stack_overflow",
        "sys.setrecursionlimit(10**9)\ndef f(): again()\nagain = ctypes.CFUNCTYPE(None)(f)\nagain()",
        "failed",
        "SIGSEGV",
    ),
    _kind("kill", "os.kill(os.getpid(), signal.SIGKILL)", "failed", "SIGKILL"),
    _kind("kill_group", "os.killpg(0, signal.SIGTERM); time.sleep(1)", "failed", "SIGTERM"),
    _kind("exit_at_second_call", "if next(calls) == 2: os._exit(0)", "failed", EXIT),
    _kind("abort_at_fiftieth_call", "if next(calls) == 50: os.abort()", "failed", "SIGABRT"),
    # No end.
    _kind("sleep", "time.sleep(LONG)", "failed", TIME),
    _kind("sleep_signals_blocked", f"{_BLOCK}\ntime.sleep(LONG)", "failed", TIME),
    _kind("sleep_holding_the_gil", "ctypes.PyDLL(None).sleep(LONG)", "failed", TIME),
    _kind("stop", "os.kill(os.getpid(), signal.SIGSTOP)", "failed", TIME),
    # Memory, output, descriptors.
    _kind("memory", "eaten = [np.ones(1 << 25, np.uint8) for _ in range(96)]\ndel eaten", "bad", "(?i)memory"),
    _kind(
        "flood_stdout",
        'for _ in range(4000): os.write(1, b"flood " * 10_000)\ntime.sleep(LONG)',  # 240 MB
        "failed",
        OUTPUT,
    ),
    _kind("prints", 'print("done", {}, flush=True)', "ok"),
    _kind("close_descriptors", "os.closerange(0, 4096)", "failed"),
    # What stays behind.
    _kind("thread_left", "threading.Thread(target=time.sleep, args=(LONG,)).start()", "any"),
    _kind(
        "child_left",
        'if next(calls) == 1: left(subprocess.Popen(["sleep", str(LONG)]).pid)',
        "any",
    ),
    _kind(
        "fork_left",
        "if next(calls) == 1 and os.fork() == 0:\n    left(os.getpid())\n    time.sleep(LONG)\n    os._exit(0)",
        "any",
    ),
    _kind("fork_goes_on", "if next(calls) == 1: os.fork()", "any"),
    # State of the process.
    _kind("chdir", 'os.chdir("/")', "ok"),
    _kind("environ", "os.environ.clear()", "ok"),
    _kind("stdout_closed", "os.close(1) if next(calls) == 1 else None", "any"),
    _kind("float_errors_raise", 'np.seterr(all="raise")', "any"),
    _kind("patches_clock", "time.perf_counter = time.process_time = time.monotonic = None", "ok"),
    # Memory of others.
    _result(
        "writes_past_out",
        "compute(x, out)\nctypes.memset(out.ctypes.data + out.nbytes, 1, 8)\nreturn out",
        reason="(?i)outside|beside|past|guard|beyond",
    ),
    _result(
        "writes_before_out",
        "compute(x, out)\nctypes.memset(out.ctypes.data - 8, 1, 8)\nreturn out",
        reason="(?i)outside|beside|before|guard|beyond|SIG",
    ),
    _result("changes_x", "compute(x, out)\nx += 1\nreturn out", reason="input"),
    _result(
        "changes_x_but_first_row",
        "compute(x, out)\nfirst = x[0].copy()\nx += 1\nx[0] = first\nreturn out",
        reason="input",
    ),
    _result("changes_last_of_x", "compute(x, out)\nx.reshape(-1)[-1:] += 1\nreturn out", reason="input"),
    # Results.
    _result("returns_none", "compute(x, out)"),
    _result("returns_function", "compute(x, out)\nreturn lambda: out"),
    _result("returns_x", "compute(x, out)\nreturn x", reason="expected"),
    _result("returns_list", "return compute(x, out).tolist()"),
    _result("returns_first_row", "return compute(x, out)[:1]", reason="(?i)shape"),
    _result("returns_float64", "return compute(x, out).astype(np.float64)", reason="(?i)dtype"),
    _result("returns_view", "return compute(x, out)[:]", "ok"),
    _result("returns_copy", "return compute(x, out).copy()", "ok"),
    _result(
        "returns_subclass",
        "out.fill(0.5)\nresult = out.view(Lying)\nresult.right = compute(x, np.empty_like(x))\nreturn result",
        at_import="""
        class Lying(np.ndarray):
            def astype(self, *words, **options): return self.right.astype(*words, **options)
            def __getitem__(self, key): return self.right[key]
            def __array__(self, *words, **options): return self.right
            def tobytes(self, *words): return self.right.tobytes(*words)
        """,
    ),
    _result(
        "returns_stand_in",
        "return Later(x.copy())",
        at_import="""
        class Later:
            def __init__(self, x): self.x, self.shape, self.dtype = x, x.shape, x.dtype
            def __array__(self, *words, **options): return compute(self.x, np.empty_like(self.x))
        """,
    ),
    _result("nothing", "return out", reason="expected"),
    _result("zeros", "out.fill(0)\nreturn out", reason="got 0"),
    _result("nan", "out.fill(np.nan)\nreturn out", reason="got nan"),
    _result("half_written", "right = compute(x, x.copy())\nout[:, ::2] = right[:, ::2]\nreturn out", reason="expected"),
    _result(
        "last_element_unwritten",
        "right = compute(x, x.copy()).reshape(-1)\nout.reshape(-1)[:-1] = right[:-1]\nreturn out",
        reason="expected",
    ),
    _result("last_row_wrong", "compute(x, out)\nout[-1:] /= 2\nreturn out", reason="expected"),
    _result("slightly_off", "compute(x, out)\nout *= 1 - 1e-4\nreturn out", reason="ulp"),
    _result("wrong_where_large", "compute(x, out)\nif x.size > 10_000: out /= 2\nreturn out", reason="expected"),
    _result("wrong_from_second_call", "compute(x, out)\nif next(calls) > 1: out /= 2\nreturn out", reason="expected"),
    _result("random", "compute(x, out)\nout *= np.random.rand() > 0.5\nreturn out", reason="expected"),
    make(
        "call",
        "unwritten_in_one_dtype",
        "bad",
        "expected",
        body='return compute(x, out) if x.dtype == "float32" else out',
        declared='dtypes=("float16", "float32")',
    ),
    # A backend of its own.
    _backend("put_raises", "def put(self, array): raise Odd", "Odd"),
    _backend("put_nothing", "def put(self, array): return None"),
    _backend("get_raises", 'def get(self, array): raise ValueError("lost")', "ValueError: lost"),
    _backend("get_nothing", "def get(self, array): return None"),
    _backend("get_text", 'def get(self, array): return "array"'),
    _backend("get_sleeps", "def get(self, array): time.sleep(LONG)", TIME, "failed"),
    _backend("synchronize_raises", 'def synchronize(self): raise ValueError("lost")', "ValueError: lost"),
    _backend("synchronize_exits", "def synchronize(self): os._exit(0)", EXIT, "failed"),
)
