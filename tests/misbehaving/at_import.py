"""Plug-ins that misbehave while they are imported."""

from __future__ import annotations

from .plugin import EXIT, OUTPUT, TIME, Plugin, make


def _kind(kind: str, statements: str, status: str, reason: str = "", declared: str = "") -> Plugin:
    return make("import", kind, status, reason, at_import=statements, declared=declared)


def _backend(kind: str, members: str, status: str, reason: str = "") -> Plugin:
    return _kind(kind, f"class Own(Backend):\n    {members}", status, reason, declared="backend=Own()")


_BLOCK = "signal.pthread_sigmask(signal.SIG_BLOCK, range(1, signal.NSIG))"
_FLOOD = 'for _ in range(4000): os.write({fd}, b"flood " * 10_000)\ntime.sleep(LONG)'  # 240 MB
_GARBAGE = """
    for fd in range(3, 21):
        try:
            os.write(fd, b'\\xff\\x00{"event": 1}\\n[[[' * 100)
        except OSError:
            pass
"""

PLUGINS = (
    # Exceptions.
    _kind("raises", 'raise ValueError("broken on purpose")', "failed", "ValueError: broken on purpose"),
    _kind("system_exit_0", "raise SystemExit(0)", "failed", EXIT),
    _kind("system_exit_3", "sys.exit(3)", "failed", EXIT),
    _kind("keyboard_interrupt", "raise KeyboardInterrupt", "failed", "KeyboardInterrupt"),
    _kind("str_raises", "raise Odd", "failed", "Odd"),
    _kind("argument_repr_raises", "raise ValueError(Odd(), Odd())", "failed", "ValueError"),
    _kind("base_exception", "class Unusual(BaseException): pass\nraise Unusual", "failed", "Unusual"),
    _kind("long_message", 'raise ValueError("x" * 10_000_000)', "failed", "ValueError: x"),
    _kind("escapes_in_message", r'raise ValueError("\x1b[2J\x1b]0;title\x07 red\nsecond")', "failed", "ValueError"),
    _kind("recursion", "def f(): f()\nf()", "failed", "RecursionError"),
    Plugin("import", "syntax_error", "def run(:\n", "failed", "SyntaxError"),
    Plugin("import", "null_bytes", "\0", "failed", "SyntaxError|ValueError"),
    _kind("missing_package", "import nothing_like_it", "unavailable", "No module named 'nothing_like_it'"),
    # Ends of the process.
    _kind("os_exit_0", "os._exit(0)", "failed", EXIT),
    _kind("os_exit_7", "os._exit(7)", "failed", r"\b7\b"),
    _kind("abort", "os.abort()", "failed", "SIGABRT"),
    _kind("segfault", "ctypes.string_at(0)", "failed", "SIGSEGV"),
    _kind(
        "stack_overflow",
        """
        sys.setrecursionlimit(10**9)
        def f(): again()
        again = ctypes.CFUNCTYPE(None)(f)
        again()
        """,
        "failed",
        "SIGSEGV",
    ),
    _kind("kill", "os.kill(os.getpid(), signal.SIGKILL)", "failed", "SIGKILL"),
    _kind("kill_group", "os.killpg(0, signal.SIGTERM); time.sleep(1)", "failed", "SIGTERM"),
    _kind("alarm", "signal.setitimer(signal.ITIMER_REAL, 0.01); time.sleep(1)", "failed", "SIGALRM"),
    _kind("thread_exits", "threading.Thread(target=sys.exit).start()", "ok"),
    # No end.
    _kind("sleep", "time.sleep(LONG)", "failed", TIME),
    _kind("sleep_signals_blocked", f"{_BLOCK}\ntime.sleep(LONG)", "failed", TIME),
    _kind("sleep_holding_the_gil", "ctypes.PyDLL(None).sleep(LONG)", "failed", TIME),
    _kind("stop", "os.kill(os.getpid(), signal.SIGSTOP)", "failed", TIME),
    _kind("atexit_sleep", "import atexit\natexit.register(time.sleep, LONG)", "any"),
    _kind("del_sleep", "class Last:\n    def __del__(self): time.sleep(LONG)\nlast = Last()", "any"),
    # Memory, output, descriptors.
    _kind(
        "memory",
        """
        eaten = [np.ones(1 << 25, np.uint8) for _ in range(96)]
        del eaten
        """,
        "failed",
        "(?i)memory",
    ),
    _kind("flood_stdout", _FLOOD.format(fd=1), "failed", OUTPUT),
    _kind("flood_stderr", _FLOOD.format(fd=2), "failed", OUTPUT),
    _kind("prints", 'print("done " * 50_000, "{}", sep="\\n", flush=True)', "ok"),
    _kind("stdout_none", "sys.stdout = sys.stderr = sys.__stdout__ = sys.__stderr__ = None", "ok"),
    _kind("reads_stdin", "sys.stdin.read()", "ok"),
    _kind("close_descriptors", "os.closerange(0, 4096)", "failed"),
    _kind("garbage_in_descriptors", _GARBAGE, "any"),
    _kind(
        "no_descriptors",
        "from resource import RLIMIT_NOFILE, getrlimit, setrlimit\n"
        "setrlimit(RLIMIT_NOFILE, (3, getrlimit(RLIMIT_NOFILE)[1]))",
        "any",
    ),
    # What stays behind.
    _kind("thread_left", "threading.Thread(target=time.sleep, args=(LONG,)).start()", "any"),
    _kind("child_left", 'left(subprocess.Popen(["sleep", str(LONG)]).pid)', "any"),
    _kind("fork_left", "if os.fork() == 0:\n    left(os.getpid())\n    time.sleep(LONG)\n    os._exit(0)", "any"),
    _kind("fork_goes_on", "os.fork()", "any"),
    _kind(
        "daemon",
        """
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                left(os.getpid())
                time.sleep(LONG)
            os._exit(0)
        """,
        "any",
    ),
    # State of the process.
    _kind("chdir", 'os.chdir("/")', "ok"),
    _kind("environ", 'os.environ.update(NUMBA_NUM_THREADS="many", PATH="", PYTHONPATH="/", HOME="")', "ok"),
    _kind("umask", "os.umask(0o777)", "ok"),
    _kind(
        "signal_handlers",
        "for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGALRM):\n"
        "    signal.signal(number, signal.SIG_IGN)",
        "ok",
    ),
    _kind("signals_blocked", _BLOCK, "ok"),
    _kind("recursion_limit", "sys.setrecursionlimit(60)", "any"),
    _kind("locale", 'import locale\nlocale.setlocale(locale.LC_ALL, "C")', "ok"),
    _kind("gc_off", "import gc\ngc.disable()", "ok"),
    _kind("traced", "sys.settrace(lambda *words: None)", "ok"),
    _kind("faulthandler", "import faulthandler\nfaulthandler.enable()", "ok"),
    _kind("warnings_are_errors", 'import warnings\nwarnings.simplefilter("error")', "ok"),
    _kind("switch_interval", "sys.setswitchinterval(1e-6)", "ok"),
    # Other modules.
    _kind("sys_path", "sys.path.clear()", "any"),
    _kind(
        "sys_modules",
        'for name in [n for n in sys.modules if n.partition(".")[0] in ("maxbench", "json", "bench")]:\n'
        "    del sys.modules[name]",
        "any",
    ),
    _kind("patches_builtins", "import builtins\nbuiltins.print = builtins.open = builtins.repr = None", "any"),
    _kind("patches_clock", "time.perf_counter = time.process_time = time.monotonic = lambda: float('nan')", "ok"),
    _kind("patches_numpy", "np.allclose = np.array_equal = np.isnan = lambda *a, **k: np.True_", "ok"),
    _kind("patches_random", "np.random.default_rng = None", "any"),
    _kind(
        "patches_contract", "from maxbench.impls.contract import operation\noperation.Operation.verify = None", "any"
    ),
    _kind("patches_json", 'import json\njson.dumps = json.dump = lambda *a, **k: "{}"', "any"),
    # What it declares.
    _kind("long_doc", '__doc__ = "x" * 1_000_000', "ok"),
    _kind("odd_doc", "__doc__ = object()", "any"),
    _kind("escapes_in_doc", r'__doc__ = "\x1b[2J\x1b]0;title\x07 red\nsecond"', "ok"),
    _kind("long_dtypes", "", "failed", "dtypes", declared='dtypes=("x" * 1_000_000,)'),
    _kind("escapes_in_largest", "", "ok", declared=r'largest=1000, largest_reason="\x1b[2J\x1b]0;title\x07\nsecond"'),
    _kind("largest_1000", "", "ok", declared="largest=1000"),
    _kind("odd_largest", "", "any", declared='largest="many"'),
    _kind("odd_differs", "", "failed", "differs", declared='differs={"n = 3/*": 7}'),
    _kind("long_differs", "", "any", declared='differs={"no case": "x" * 1_000_000}'),
    _backend("backend_name_raises", "@property\n    def name(self): raise Odd", "failed", "Odd"),
    _backend("backend_name_odd", "name = object()", "any"),
    _backend("backend_name_long", 'name = "x" * 1_000_000', "any"),
    _backend("backend_device_raises", "@property\n    def device(self): sys.exit(0)", "failed", EXIT),
    _backend("backend_device_odd", r'device = "\x1b[2Jabacus"', "failed", "device"),
    _kind("two_kernels", "@implements(dtypes=('float32',))\ndef other(x, out): return out", "failed", "2 kernels"),
    Plugin("import", "no_kernel", "from maxbench import impls\n", "failed", "0 kernels"),
    _kind("getattr_raises", "def __getattr__(name): raise Odd", "any"),
    _kind(
        "odd_module",
        "class Nothing:\n    def __getattribute__(self, name): raise Odd\nsys.modules[__name__] = Nothing()",
        "failed",
    ),
)
