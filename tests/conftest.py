"""Shared set-up: two fake CPU devices, strict promotion, a fresh key for every request, and
programs that compile quickly and are forgotten before they fill the memory."""

import gc
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import jax
import pytest

os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"] = "1"  # for the processes that tests start

jax.config.update("jax_num_cpu_devices", 2)
jax.config.update("jax_disable_most_optimizations", True)  # fixtures of modules included
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_default_matmul_precision", "highest")


QUICK_COMPILER = "--xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1"
"""Half the compile time for networks of a few units. `--slow` compiles as users do."""

MOST_MAPS = 15_000
"""Linux gives a process 65,530 memory maps, and a compiled program holds several."""


def pytest_configure(config: pytest.Config) -> None:
    """Choose the quick compiler, for the workers and all processes that tests start too."""
    if config.getoption("--slow") or "PYTEST_XDIST_WORKER" in os.environ:
        return
    flags = f"{os.environ.get('XLA_FLAGS', '')} {QUICK_COMPILER}".strip()
    # XLA ends a process at a flag that it does not know, and flags come and go with its releases.
    probe = [sys.executable, "-c", "import jax; jax.devices('cpu')"]
    known = subprocess.run(probe, env={**os.environ, "XLA_FLAGS": flags}, capture_output=True)
    if known.returncode == 0:
        os.environ["XLA_FLAGS"] = flags


def maps() -> int:
    """The number of memory maps of this process; zero where the system does not say."""
    table = Path("/proc/self/maps")
    return table.read_bytes().count(b"\n") if table.exists() else 0


@pytest.fixture(autouse=True, scope="module")
def bounded_memory() -> Iterator[None]:
    """Compiled programs would pile up until the system refuses another map: free them."""
    yield
    if maps() > MOST_MAPS:
        jax.clear_caches()
        gc.collect()


@pytest.fixture
def getkey(request: pytest.FixtureRequest):
    """A function that returns a new key at every call; the same keys at every run of a test."""
    seed = sum(map(ord, request.node.name))
    state = {"key": jax.random.key(seed)}

    def next_key() -> jax.Array:
        state["key"], own = jax.random.split(state["key"])
        return own

    return next_key


@pytest.fixture(autouse=True)
def quick_compilation(request: pytest.FixtureRequest):
    """Leave out the compiler passes that only make programs faster: most tests ask whether numbers
    are right, on networks of a few units. Those that compute for long take `optimised`."""
    quick = "optimised" not in request.fixturenames and "slow" not in request.node.keywords
    jax.config.update("jax_disable_most_optimizations", quick)
    yield
    jax.config.update("jax_disable_most_optimizations", True)


@pytest.fixture
def optimised() -> None:
    """Compile as users do."""


@pytest.fixture
def x64():
    """Run the test in float64."""
    with jax.enable_x64(True):
        yield


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="run tests that take minutes")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    no_data = pytest.mark.skip(reason="set METAPLASTIC_DATA to a folder with real images")
    too_slow = pytest.mark.skip(reason="takes minutes: run with --slow")
    for item in items:
        if item.get_closest_marker("data") and not os.environ.get("METAPLASTIC_DATA"):
            item.add_marker(no_data)
        if "slow" in item.keywords and not config.getoption("--slow"):
            item.add_marker(too_slow)


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Bytes are named by their length: archives hold the time, and two processes must agree."""
    return f"{argname}-of-{len(val)}" if isinstance(val, bytes) else None
